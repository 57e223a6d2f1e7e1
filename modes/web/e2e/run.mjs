// Opens every page in Chromium as a person would: node e2e/run.mjs [URL of a server, else $REZOLUS is started on $RECORDING].
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { checks } from './checks.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
FLAGS.push('--disable-component-update', '--disable-sync');

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Starts the viewer and waits until it answers. */
async function serve(port, inputs) {
  const args = ['view', '--no-open', '--listen', `127.0.0.1:${port}`, ...inputs];
  const child = spawn(process.env.REZOLUS, args, { env: { ...process.env, REZOLUS_WEB_DIR: dist }, stdio: ['ignore', 'ignore', 'inherit'] });
  const url = `http://127.0.0.1:${port}/`;
  for (let i = 0; i < 100; i++) {
    if (child.exitCode !== null) throw new Error(`rezolus view ended with ${child.exitCode}`);
    const up = await fetch(`${url}view/state`).then((r) => r.ok, () => false);
    if (up) return { url, stop: () => child.kill() };
    await sleep(100);
  }
  child.kill();
  throw new Error(`${url} does not answer`);
}

async function main() {
  const recording = process.env.RECORDING;
  const given = process.argv[2];
  if (!given && !(process.env.REZOLUS && recording)) throw new Error('say a URL, or set REZOLUS (the binary) and RECORDING (a file)');
  const servers = given ? [{ url: given, stop() {} }] : [await serve(4270, [recording]), await serve(4271, [])];
  if (!given) servers.push(await serve(4272, [`a=${recording}`, `b=${recording}`]));
  const profile = mkdtempSync(join(tmpdir(), 'rezolus-e2e-'));
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launchPersistentContext(profile, { executablePath: path, headless: true, args: FLAGS, viewport: { width: 1280, height: 900 } });
  let failed = 0;
  try {
    for (const [name, check] of Object.entries(checks)) failed += await one(browser, name, check, servers, recording);
  } finally {
    await browser.close();
    for (const server of servers) server.stop();
    rmSync(profile, { recursive: true, force: true });
  }
  process.exitCode = failed ? 1 : 0;
}

/** One check on a page of its own; an error on the console fails it. Returns how many failed. */
async function one(browser, name, check, [full, empty, both], recording) {
  const { on = 'full', needs = on, run } = check;
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
    const bad = said.filter((s) => !s.includes('status of 400'));
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
