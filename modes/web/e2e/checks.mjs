// What is checked: a name, on which server (full, empty, both), and how.
import assert from 'node:assert/strict';

const drawn = (page) => page.waitForSelector('.plot canvas');
const hash = (page) => page.evaluate(() => location.hash);

/** Every page of the navigation, at three widths, without anything wider than the screen. */
async function everyPage(page, url) {
  await page.goto(url);
  await drawn(page);
  const names = await page.locator('.links a').allTextContents();
  assert.ok(names.length > 3, 'pages in the navigation');
  for (const width of [1600, 1280, 390]) {
    await page.setViewportSize({ width, height: 900 });
    for (const name of names) {
      await page.locator('.links a', { hasText: new RegExp(`^${name}$`) }).first().click();
      await page.waitForSelector('h1');
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px too wide at ${width}`);
    }
  }
}

/** Dragging zooms, which the address says; a double click brings the whole back. */
async function zoom(page, url) {
  await page.goto(url);
  await drawn(page);
  const box = await page.locator('.over').first().boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.3, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, y, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => /start|\d{9}/.test(location.hash));
  const zoomed = await hash(page);
  await page.mouse.dblclick(box.x + box.width / 2, y);
  await page.waitForFunction((before) => location.hash !== before, zoomed);
  await page.keyboard.press('+');
  await page.waitForFunction(() => /start|\d{9}/.test(location.hash));
  await page.keyboard.press('0');
}

/** A link opens exactly what was on screen. */
async function deepLink(page, url) {
  await page.goto(url);
  await drawn(page);
  await page.locator('.links a').nth(1).click();
  await page.keyboard.press('+');
  await page.waitForFunction(() => /start|\d{9}/.test(location.hash));
  const link = await page.evaluate(() => location.href);
  const title = await page.locator('h1').textContent();
  const span = await page.locator('.what span').textContent();
  await page.goto('about:blank');
  await page.goto(link);
  await page.waitForSelector('h1');
  assert.equal(await page.locator('h1').textContent(), title);
  assert.equal(await page.locator('.what span').textContent(), span);
}

/** A query is drawn; a wrong one says where. */
async function explorer(page, url) {
  await page.goto(`${url}#explore`);
  const input = page.locator('textarea');
  await input.fill('vector(1)');
  await input.press('Enter');
  await drawn(page);
  await input.fill('sum(rate(');
  await input.press('Escape');
  await input.press('Enter');
  await page.waitForSelector('.error');
}

/** A chart as a table, from the keyboard alone. */
async function table(page, url) {
  await page.goto(url);
  await drawn(page);
  await page.locator('.menu > button').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=menu]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.table table');
}

async function metrics(page, url) {
  await page.goto(`${url}#metrics`);
  await page.waitForSelector('.metric');
  await page.locator('.find').fill('no such metric anywhere');
  await page.waitForFunction(() => document.querySelectorAll('.metric').length === 0);
}

/** A file dropped onto the empty page is opened. */
async function drop(page, url, recording) {
  await page.goto(url);
  await page.waitForSelector('input[type=file]', { state: 'attached' });
  await page.setInputFiles('input[type=file]', recording);
  await drawn(page);
}

/** Two inputs, in each of the ways to compare them. */
async function compare(page, url) {
  await page.goto(url);
  await drawn(page);
  for (const way of ['side', 'difference', 'ratio', 'overlay']) {
    await page.locator('.fields select').selectOption(way);
    await drawn(page);
  }
}

export const checks = {
  'every page at three widths': { run: everyPage },
  'zoom and back': { run: zoom },
  'deep link': { run: deepLink },
  explorer: { run: explorer },
  'table from the keyboard': { run: table },
  metrics: { run: metrics },
  'drop a file': { on: 'empty', run: drop },
  'A and B': { on: 'both', run: compare },
};
