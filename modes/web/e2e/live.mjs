// What is checked on something live: `live` has its viewer and what it looks at, each of which can be ended and begun again.
import assert from 'node:assert/strict';
import { accessible } from './axe.mjs';

const span = (page) => page.locator('.what span').textContent();
const button = (page) => page.locator('[aria-label=live] button');
const changed = (page, before) => page.waitForFunction((b) => document.querySelector('.what span').textContent !== b, before, { timeout: 15_000 });
const says = (page, text) => page.waitForFunction((t) => document.querySelector('[aria-label=live] button')?.textContent.includes(t), text, { timeout: 20_000 });

async function open(page, { url, query }) {
  await page.goto(`${url}#/explore?q=${encodeURIComponent(query)}&live&range=60`);
  await page.waitForSelector('.plot canvas', { timeout: 20_000 });
  if ((await button(page).textContent()).includes('follow')) await button(page).click();
  await says(page, '● live');
}

/** Following moves; paused it stands still, and what is on screen is in the address. */
async function follow(page, live) {
  await open(page, live);
  const first = await span(page);
  await changed(page, first);
  await page.keyboard.press('Space');
  await says(page, 'follow');
  const paused = await span(page);
  await page.waitForTimeout(2500);
  assert.equal(await span(page), paused);
  await page.keyboard.press('Space');
  await changed(page, paused);
}

/** The viewer's server goes away and comes back: the page says so, keeps what it drew, and goes on by itself. */
async function serverAway(page, live) {
  await open(page, live);
  await live.viewer.stop();
  await page.locator('.banner', { hasText: 'does not answer' }).waitFor({ timeout: 20_000 });
  assert.ok((await page.locator('.plot canvas').count()) > 0, 'what was drawn stays');
  await live.viewer.start();
  await page.waitForFunction(() => !document.querySelector('.banner'), null, { timeout: 20_000 });
  await says(page, '● live');
  await changed(page, await span(page));
}

/** What is looked at goes away and comes back. */
async function sourceAway(page, live) {
  await open(page, live);
  await live.source.stop();
  await says(page, 'reconnecting');
  await page.locator('.banner').waitFor();
  await live.source.start();
  await page.waitForFunction(() => !document.querySelector('.banner'), null, { timeout: 20_000 });
  await changed(page, await span(page));
}

export const liveChecks = {
  'live: accessible': { run: (page, { url }) => accessible('live')(page, url) },
  'live: follow and pause': { run: follow },
  "live: the viewer's server is away": { run: serverAway, refused: true },
  'live: what is looked at is away': { run: sourceAway },
};
