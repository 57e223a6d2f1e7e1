// Opens every page in Chromium as a person would: node e2e/run.mjs [URL of a server, else $REZOLUS is started on $RECORDING].
// What is live is an agent with the configuration $AGENT_CONFIG, else a small exporter. $ONLY: checks whose names have it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { checks } from './checks.mjs';
import { exporter } from './exporter.mjs';
import { liveChecks } from './live.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
FLAGS.push('--disable-component-update', '--disable-sync');

/** A port that nobody listens on. */
const free = () =>
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

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Ends a process, and waits until it has. */
function ended(child) {
  if (child.exitCode !== null) return undefined;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill();
  return gone;
}

/** Something that can be begun again after it was ended. */
async function again(begin) {
  let now = await begin();
  return {
    start: async () => (now = await begin()),
    stop: () => now.stop(),
    get url() {
      return now.url;
    },
  };
}

/** What is live, and a viewer of it. */
async function live() {
  const config = process.env.AGENT_CONFIG;
  const port = await free();
  const listen = config ? /^listen = "(.*)"/m.exec(readFileSync(config, 'utf8'))[1] : `127.0.0.1:${port}`;
  const agent = async () => {
    const child = spawn(process.env.REZOLUS, [config], { stdio: ['ignore', 'ignore', 'inherit'] });
    children.add(child);
    // Loading its programs takes a busy machine some seconds, and it listens after that.
    await answers(child, `http://${listen}/status`);
    return { stop: () => ended(child) };
  };
  const source = await again(config ? agent : () => exporter(port));
  const own = await free();
  const viewer = await again(() => serve(own, [`http://${listen}`]));
  const query = config ? 'sum(rate(cpu_usage[$interval]))' : 'e2e_level';
  return { source, viewer, query, url: viewer.url };
}

/** Waits until what was started answers there; an error where it ends first, or never does. */
async function answers(child, url) {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`);
    await sleep(100);
    const up = await fetch(url).then((r) => r.ok, () => false);
    // Who answered is somebody else where the child has ended meanwhile: the next turn says so.
    if (up && child.exitCode === null) return;
  }
  child.kill();
  throw new Error(`${url} does not answer`);
}

/** Starts the viewer and waits until it answers. */
async function serve(port, inputs) {
  const args = ['view', '--no-open', '--listen', `127.0.0.1:${port}`, ...inputs];
  const child = spawn(process.env.REZOLUS, args, { env: { ...process.env, REZOLUS_WEB_DIR: dist }, stdio: ['ignore', 'ignore', 'inherit'] });
  children.add(child);
  const url = `http://127.0.0.1:${port}/`;
  await answers(child, `${url}view/state`);
  return { url, stop: () => ended(child) };
}

async function main() {
  const recording = process.env.RECORDING;
  const given = process.argv[2];
  if (!given && !(process.env.REZOLUS && recording)) throw new Error('say a URL, or set REZOLUS (the binary) and RECORDING (a file)');
  const servers = given ? [{ url: given, stop() {} }] : [await serve(await free(), [recording]), await serve(await free(), [])];
  if (!given) servers.push(await serve(await free(), [`a=${recording}`, `b=${recording}`]));
  const profile = mkdtempSync(join(tmpdir(), 'rezolus-e2e-'));
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launchPersistentContext(profile, { executablePath: path, headless: true, args: FLAGS, viewport: { width: 1280, height: 900 } });
  let failed = 0;
  try {
    const wanted = (all) => Object.entries(all).filter(([name]) => name.includes(process.env.ONLY ?? ''));
    for (const [name, check] of wanted(checks)) failed += await one(browser, name, check, servers, recording);
    if (!given && wanted(liveChecks).length) {
      const alive = await live();
      servers.push(alive.viewer, alive.source);
      for (const [name, check] of wanted(liveChecks)) failed += await one(browser, name, { ...check, run: (page) => check.run(page, alive) }, servers);
    }
  } finally {
    await browser.close();
    for (const server of servers) await server.stop();
    rmSync(profile, { recursive: true, force: true });
  }
  process.exitCode = failed ? 1 : 0;
}

/** One check on a page of its own; an error on the console fails it. Returns how many failed. */
async function one(browser, name, check, [full, empty, both], recording) {
  const { on = 'full', needs = on, run, refused = false } = check;
  const all = { full, empty, both };
  const server = all[on];
  if (!server || !all[needs]) return 0;
  const page = await browser.newPage();
  const said = [];
  page.on('console', (m) => m.type() === 'error' && said.push(m.text()));
  page.on('pageerror', (e) => said.push(e.message));
  const start = Date.now();
  try {
    await run(page, server.url, recording, all);
    // A query that is refused on purpose is an answer of 400, which the browser logs.
    // So is not being answered where the server was ended on purpose.
    const bad = said.filter((s) => !s.includes('status of 400') && !(refused && /ERR_|Failed to load/.test(s)));
    if (bad.length) throw new Error(`on the console: ${bad.join('; ')}`);
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
    return 0;
  } catch (error) {
    console.log(`FAILED  ${name}: ${error.message}`);
    return 1;
  } finally {
    await page.close();
  }
}

await main();
