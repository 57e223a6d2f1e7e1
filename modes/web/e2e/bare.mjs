// A Chromium of which nothing is watched: what is held of every answer for whoever debugs the page, as Playwright does,
// would be measured as the page's memory.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHROMIUM, FLAGS, sleep } from './servers.mjs';

/** Opens a page. `evaluate` gives what an expression in it yields. */
export async function bare(url) {
  const profile = mkdtempSync(join(tmpdir(), 'rezolus-bare-'));
  const args = ['--headless=new', '--remote-debugging-pipe', '--enable-precise-memory-info', '--window-size=1600,1000', `--user-data-dir=${profile}`];
  const child = spawn(CHROMIUM, [...FLAGS, ...args, url], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [to, from] = [child.stdio[3], child.stdio[4]];
  const waiting = new Map();
  let [rest, last] = ['', 0];
  from.setEncoding('utf8').on('data', (text) => {
    const messages = (rest + text).split('\0');
    rest = messages.pop();
    for (const message of messages.map((m) => JSON.parse(m))) waiting.get(message.id)?.(message);
  });
  const send = async (method, params = {}, sessionId = undefined) => {
    const answer = new Promise((done) => waiting.set(++last, done));
    to.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    const { id, result, error } = await answer;
    waiting.delete(id);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  let page;
  while (!page) {
    const { targetInfos } = await send('Target.getTargets');
    page = targetInfos.find((t) => t.type === 'page' && t.url.startsWith(url));
    if (!page) await sleep(50);
  }
  const { sessionId } = await send('Target.attachToTarget', { targetId: page.targetId, flatten: true });
  const evaluate = async (expression) => {
    const { result } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
    return result.value;
  };
  const collect = () => send('HeapProfiler.collectGarbage', {}, sessionId);
  const stop = async () => {
    const gone = new Promise((done) => child.once('exit', done));
    child.kill();
    await gone;
    // Its other processes may still write for a moment.
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  return { evaluate, collect, renderer: () => renderer(profile), stop };
}

/**
 * What the largest of the browser's renderers has resident, in MiB, and how much of it is its own: the rest is the browser's
 * program, which all of them map, also one without a page.
 */
function renderer(profile) {
  const read = (pid, file) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      return '';
    }
  };
  const is = (pid) => /type=renderer/.test(read(pid, 'cmdline')) && read(pid, 'cmdline').includes(profile);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && is(name));
  const all = pids.map((pid) => {
    const status = read(pid, 'status');
    const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
    return { resident: of('VmRSS'), own: of('RssAnon') + of('RssShmem') };
  });
  return all.reduce((a, b) => (b.resident > a.resident ? b : a), { resident: 0, own: 0 });
}
