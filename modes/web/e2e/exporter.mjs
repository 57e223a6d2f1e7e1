// Something to follow where no agent is: a counter that rises by 10 a second, and a gauge, as Prometheus' text.
import { createServer } from 'node:http';

/** Serves on a port; what is returned ends it. */
export async function exporter(port) {
  const text = () => {
    const seconds = Date.now() / 1000;
    return [
      '# HELP e2e_events_total What happened.',
      '# TYPE e2e_events_total counter',
      `e2e_events_total{kind="a"} ${Math.floor(seconds * 10) % 1e9}`,
      '# HELP e2e_level A wave.',
      '# TYPE e2e_level gauge',
      `e2e_level ${(50 + 40 * Math.sin(seconds / 5)).toFixed(3)}`,
      '',
    ].join('\n');
  };
  const server = createServer((request, response) => {
    const known = new URL(request.url, 'http://x').pathname === '/metrics';
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(known ? text() : '');
  });
  await new Promise((done, failed) => server.once('error', failed).listen(port, '127.0.0.1', done));
  return {
    stop: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}
