// What checks, pictures and figures have in common: a browser, and servers that go with whoever started them.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

export const dist = fileURLToPath(new URL('../dist', import.meta.url));
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
FLAGS.push('--disable-component-update', '--disable-sync');

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A port that nobody listens on. */
export const free = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** What this started goes with it, however it ends. */
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill()));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE']) process.on(signal, () => process.exit(130));

/** Ends a process, and waits until it has. */
function ended(child) {
  if (child.exitCode !== null) return undefined;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill();
  return gone;
}

/** Waits until what was started answers there; an error where it ends first, or never does. */
async function answers(child, url) {
  const end = Date.now() + 60_000;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`);
    await sleep(20);
    const up = await fetch(url).then((r) => r.ok, () => false);
    // Who answered is somebody else where the child has ended meanwhile: the next turn says so.
    if (up && child.exitCode === null) return;
  }
  child.kill();
  throw new Error(`${url} does not answer`);
}

/** Starts $REZOLUS and waits until it answers at `url`. */
export async function start(args, url, env = process.env) {
  const child = spawn(process.env.REZOLUS, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  children.add(child);
  await answers(child, url);
  const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) / 1024;
  return { resident, stop: () => ended(child) };
}

/** Starts the viewer, unless `env` says otherwise with the page as it was built here. */
export async function serve(port, inputs, env = { ...process.env, REZOLUS_WEB_DIR: dist }) {
  const url = `http://127.0.0.1:${port}/`;
  const args = ['view', '--no-open', '--listen', `127.0.0.1:${port}`, ...inputs];
  return { url, ...(await start(args, `${url}view/state`, env)) };
}
