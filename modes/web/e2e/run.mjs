// Opens every page in Chromium as a person would: node e2e/run.mjs [URL of a server, else $REZOLUS is started on $RECORDING].
// What is live is an agent with the configuration $AGENT_CONFIG, else a small exporter. $ONLY: checks whose names have it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { checks } from './checks.mjs';
import { exporter } from './exporter.mjs';
import { liveChecks } from './live.mjs';
import { CHROMIUM, FLAGS, free, serve, start } from './servers.mjs';

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
  // Loading its programs takes a busy machine some seconds, and it listens after that.
  const agent = () => start([config], `http://${listen}/status`);
  const source = await again(config ? agent : () => exporter(port));
  const own = await free();
  const viewer = await again(() => serve(own, [`http://${listen}`]));
  const query = config ? 'sum(rate(cpu_usage[$interval]))' : 'e2e_level';
  return { source, viewer, query, url: viewer.url };
}

async function main() {
  const recording = process.env.RECORDING;
  const given = process.argv[2];
  if (!given && !(process.env.REZOLUS && recording)) throw new Error('say a URL, or set REZOLUS (the binary) and RECORDING (a file)');
  const servers = given ? [{ url: given, stop() {} }] : [await serve(await free(), [recording]), await serve(await free(), [])];
  if (!given) servers.push(await serve(await free(), [`a=${recording}`, `b=${recording}`]));
  const profile = mkdtempSync(join(tmpdir(), 'rezolus-e2e-'));
  const browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, headless: true, args: FLAGS, viewport: { width: 1280, height: 900 } });
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
    // Where it stood: messages of what was waited for are alike.
    const at = /(checks|live)\.mjs:\d+/.exec(error.stack)?.[0];
    console.log(`FAILED  ${name}: ${error.message}${at ? ` (${at})` : ''}`);
    return 1;
  } finally {
    await page.close();
  }
}

await main();
