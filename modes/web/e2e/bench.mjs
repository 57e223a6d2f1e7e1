// What the page takes in Chromium: REZOLUS=binary node e2e/bench.mjs RECORDING [DAY'S RECORDING], or URL of an agent, which is
// followed for $MINUTES, with options of `view` after it. Prints one line per figure.
import { chromium } from 'playwright-core';
import { bare } from './bare.mjs';
import { CHROMIUM, FLAGS, free, serve, sleep } from './servers.mjs';

const MINUTES = Number(process.env.MINUTES ?? 10);
const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];
const say = (what, value, unit, limit) => console.log(`${what.padEnd(58)} ${value.toFixed(unit === 'ms' ? 0 : 1).padStart(8)} ${unit.padEnd(4)} ${limit ?? ''}`);

/** Everything on screen is drawn: no card there waits for data, and each has its canvas or says why not. */
const settled = () => {
  const cards = [...document.querySelectorAll('.card')].filter((card) => {
    const { top, bottom } = card.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  const done = (card) => card.getAttribute('aria-busy') !== 'true' && card.querySelector('canvas, .said, .error, .empty');
  return cards.length > 0 && cards.every(done);
};

/** ms until everything on screen is drawn, as the page's own clock has it. */
const untilSettled = (page, act) =>
  page.evaluate(
    ([act, settled]) =>
      new Promise((done) => {
        const isSettled = eval(`(${settled})`);
        const start = performance.now();
        eval(`(${act})`)();
        const drawn = () => requestAnimationFrame(() => done(performance.now() - start));
        const look = () => (isSettled() ? drawn() : setTimeout(look, 10));
        requestAnimationFrame(() => requestAnimationFrame(look));
      }),
    [act.toString(), settled.toString()],
  );

/** ms from navigation until the first screen is drawn, in a browser that was never there. */
async function first(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } });
  const page = await context.newPage();
  // A window's own pages, such as that of what is typed as an address, are drawn first.
  await sleep(1500);
  let bytes = 0;
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const assets = new Set();
  session.on('Network.responseReceived', (e) => !e.response.url.includes('/view/') && assets.add(e.requestId));
  session.on('Network.loadingFinished', (e) => assets.has(e.requestId) && (bytes += e.encodedDataLength));
  // Looked at now and then, not in every frame: that would have the browser make frames all the time.
  await page.addInitScript(`window.settledAt = new Promise((done) => {
    const isSettled = ${settled};
    const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
    const look = () => (isSettled() ? drawn() : setTimeout(look, 10));
    document.addEventListener('DOMContentLoaded', look);
  })`);
  await page.goto(url);
  const ms = await page.evaluate(() => window.settledAt);
  await context.close();
  return { ms, bytes };
}

async function opened(browser, what, recording, limit) {
  const all = [];
  for (let i = 0; i < 3; i++) {
    // A server that was just started: nothing is decoded yet.
    const server = await serve(await free(), [recording], process.env);
    all.push(await first(browser, server.url));
    server.stop();
    await sleep(100);
  }
  say(`${what}: overview drawn after navigation`, median(all.map((a) => a.ms)), 'ms', limit);
  return all[0].bytes;
}

async function used(browser, recording) {
  const server = await serve(await free(), [recording], process.env);
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } });
  const page = await context.newPage();
  await page.goto(server.url);
  await page.waitForFunction(settled);
  const names = await page.locator('.links a').allTextContents();
  const next = [];
  for (let i = 1; i < Math.min(9, names.length); i++) {
    const ms = await untilSettled(page, `() => document.querySelectorAll('.links a')[${i}].click()`);
    next.push({ ms, name: names[i].trim() });
    await sleep(200);
  }
  const slowest = next.reduce((a, b) => (b.ms > a.ms ? b : a));
  say('hour: next page drawn, median', median(next.map((n) => n.ms)), 'ms', '300');
  say(`hour: next page drawn, slowest (${slowest.name})`, slowest.ms, 'ms', '300');
  await page.locator('.links a').first().click();
  await page.waitForFunction(settled);
  const zooms = [];
  for (const key of ['+', '+', '-', '+', '+', '-', '-', '+']) {
    zooms.push(await redrawn(page, key));
    await sleep(300);
  }
  say('hour: zoom to redraw, median', median(zooms.map((z) => z.moved)), 'ms', '150');
  say('hour: zoom until finer data are drawn too, median', median(zooms.map((z) => z.finer)), 'ms', '150');
  say('hour: zoom until finer data are drawn too, slowest', Math.max(...zooms.map((z) => z.finer)), 'ms');
  const frames = await panned(page);
  say('hour: frames a second while panning 50 charts', frames.rate, '/s', '50');
  say('hour: charts on screen meanwhile', frames.charts, '', '50');
  await context.close();
  server.stop();
}

/** What browser and server hold after minutes of use. */
async function held(recording) {
  const server = await serve(await free(), [recording], process.env);
  const page = await bare(server.url);
  while (!(await page.evaluate(`(${settled})()`))) await sleep(50);
  const press = (key) => page.evaluate(`document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '${key}', bubbles: true }))`);
  const move = (x) => `document.querySelector('.over')?.dispatchEvent(new MouseEvent('mousemove', { clientX: ${x}, clientY: 300, bubbles: true }))`;
  const pages = await page.evaluate(`document.querySelectorAll('.links a').length`);
  const end = Date.now() + MINUTES * 60_000;
  for (let at = 0; Date.now() < end; at++) {
    await page.evaluate(`document.querySelectorAll('.links a')[${at % pages}].click()`);
    await sleep(700);
    for (const key of ['+', 'ArrowLeft', 'ArrowRight', '-', '0']) {
      await press(key);
      await sleep(150);
    }
    await page.evaluate(move(400 + ((at * 37) % 600)));
  }
  await tell(page, server, 'hour', `after ${MINUTES} min of use`, '200');
  await page.stop();
  await server.stop();
}

async function tell(page, server, what, when, limit) {
  await page.collect();
  say(`${what}: page's heap ${when}`, await page.evaluate('performance.memory.usedJSHeapSize / 2 ** 20'), 'MiB', limit);
  const { resident, own } = page.renderer();
  say(`${what}: renderer resident ${when}`, resident, 'MiB', limit);
  say(`${what}: of that its own ${when}`, own, 'MiB');
  say(`${what}: server resident ${when}`, server.resident(), 'MiB');
}

/** ms from a key until every chart on screen shows data of the new span. */
async function redrawn(page, key) {
  const visible = await page.evaluate(() => {
    if (!window.fetching) {
      window.fetching = window.fetch;
      window.fetch = async (...args) => {
        if (!String(args[0]).startsWith('view/range')) return window.fetching(...args);
        window.asked++;
        const answer = await window.fetching(...args);
        window.answered++;
        return answer;
      };
    }
    window.asked = window.answered = 0;
    return [...document.querySelectorAll('.card')].filter((c) => c.getBoundingClientRect().top < innerHeight).length;
  });
  const start = Date.now();
  await page.keyboard.press(key);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const moved = Date.now() - start;
  await page.waitForFunction((visible) => window.answered >= visible && window.asked >= visible, visible, { polling: 'raf' });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return { moved, finer: Date.now() - start };
}

/** Frames a second while a page of many small charts, as many as a screen shows, is panned by dragging with shift. */
async function panned(page) {
  // A tall screen: so many of the small charts fit.
  await page.setViewportSize({ width: 1920, height: 2100 });
  // The page with the most charts.
  const count = [];
  const links = await page.locator('.links a').count();
  for (let i = 0; i < links; i++) {
    await page.evaluate(`document.querySelectorAll('.links a')[${i}].click()`);
    await sleep(50);
    count.push(await page.locator('.card').count());
  }
  const most = count.indexOf(Math.max(...count));
  await page.evaluate(`document.querySelectorAll('.links a')[${most}].click()`);
  await page.keyboard.press('s');
  await page.waitForSelector('.over');
  await page.keyboard.press('+');
  await sleep(5000);
  const charts = await page.evaluate(() => [...document.querySelectorAll('.plot canvas')].filter((c) => c.getBoundingClientRect().top < innerHeight).length);
  const box = await page.locator('.over').first().boundingBox();
  const result = await page.evaluate(
    async ([x, y]) => {
      const over = document.querySelector('.over');
      const event = (type, dx) => over.dispatchEvent(new PointerEvent(type, { bubbles: true, button: 0, pointerId: 1, shiftKey: true, clientX: x + dx, clientY: y }));
      over.setPointerCapture = () => {};
      event('pointerdown', 0);
      const times = [];
      for (let i = 0; i < 120; i++) {
        event('pointermove', Math.round(60 * Math.sin(i / 10)));
        times.push(await new Promise(requestAnimationFrame));
      }
      event('pointerup', 0);
      return (times.length - 1) / ((times.at(-1) - times[0]) / 1000);
    },
    [box.x + box.width / 2, box.y + 40],
  );
  await page.keyboard.press('s');
  await page.setViewportSize({ width: 1600, height: 1000 });
  return { rate: result, charts };
}

/** Follows an agent, and says every tenth of the time what browser and server hold. */
async function followed(agent, options) {
  const server = await serve(await free(), [agent, ...options], process.env);
  const page = await bare(server.url);
  for (let tenth = 0; tenth <= 10; tenth++) {
    if (tenth) await sleep(MINUTES * 6_000);
    await tell(page, server, 'live', `after ${((MINUTES * tenth) / 10).toFixed(0)} min`);
  }
  await page.stop();
  await server.stop();
}

const [hour, ...rest] = process.argv.slice(2);
if (/^https?:/.test(hour)) await followed(hour, rest);
else await recorded();

async function recorded() {
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
  try {
    const bytes = await opened(browser, 'hour', hour, '1000');
    say('first load, transferred', bytes / 1024, 'KiB', '250');
    if (rest.length) await opened(browser, 'day', rest[0], '1500');
    await used(browser, hour);
  } finally {
    await browser.close();
  }
  await held(hour);
}
