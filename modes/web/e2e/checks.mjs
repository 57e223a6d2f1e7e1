// What is checked: a name, on which server (full, empty, both), and how.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { accessible } from './axe.mjs';

const drawn = (page) => page.waitForSelector('.plot canvas');
/** Nothing on screen waits any more, so that it stays where it is. */
const rested = (page) =>
  page.waitForFunction(() => {
    const cards = [...document.querySelectorAll('.card')].filter((card) => card.getBoundingClientRect().top < innerHeight);
    return cards.length > 0 && cards.every((card) => card.getAttribute('aria-busy') !== 'true');
  });
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

/** A link of a zoomed chart with one line chosen and small charts opens just that. */
async function deepSelection(page, url) {
  await page.goto(url);
  await page.locator('.links a', { hasText: /^CPU$/ }).click();
  await drawn(page);
  const card = page.locator('.card', { hasText: 'CPU time by state' });
  await card.locator('.legend button').first().click();
  await page.keyboard.press('+');
  const state = () =>
    page.evaluate(() => [
      location.hash,
      document.querySelector('.what span').textContent,
      ...[...document.querySelectorAll('.legend button')].map((b) => `${b.textContent} ${b.getAttribute('aria-pressed')}`).slice(0, 6),
    ]);
  await page.waitForFunction(() => /from=/.test(location.hash) && document.querySelectorAll('.legend .off').length > 0);
  const before = await state();
  const link = await page.evaluate(() => location.href);
  await page.goto('about:blank');
  await page.goto(link);
  await page.waitForSelector('.legend .off');
  assert.deepEqual(await state(), before);
}

/** Shift and drag moves, and the wheel with Ctrl zooms: the span says so at once, charts are drawn where it rests. */
async function moving(page, url) {
  await page.goto(url);
  await rested(page);
  await page.keyboard.press('+');
  await page.waitForFunction(() => /from=/.test(location.hash));
  const box = await page.locator('.over').first().boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + 30];
  const span = () => page.locator('.what span').textContent();
  const [was, at] = [await hash(page), await span()];
  await page.keyboard.down('Shift');
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x - 60, y, { steps: 3 });
  await page.waitForFunction((at) => document.querySelector('.what span').textContent !== at, at);
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await page.waitForFunction((was) => location.hash !== was, was);
  const moved = await hash(page);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -200);
  await page.keyboard.up('Control');
  await page.waitForFunction((moved) => location.hash !== moved, moved);
}

/** What is on screen saved as a recording of its own. */
async function saved(page, url) {
  await page.goto(url);
  await drawn(page);
  await page.locator('.toolbar button', { hasText: /^save$/ }).click();
  const [copy] = await Promise.all([page.waitForEvent('download'), page.locator('dialog .main').click()]);
  const bytes = await readFile(await copy.path());
  assert.equal(bytes.subarray(0, 4).toString(), 'PAR1');
  assert.ok(bytes.length > 1000);
}

/** The table of differences of a zoomed span: narrowed down, and sorted the other way. */
async function differences(page, url) {
  await page.goto(`${url}#/compare`);
  await page.waitForSelector('.differences tbody tr');
  const count = () => page.locator('.differences tbody tr').count();
  const all = await count();
  await page.keyboard.press('+');
  await page.waitForFunction(() => /from=/.test(location.hash));
  await page.locator('.find').fill('cpu_usage');
  await page.waitForFunction((all) => document.querySelectorAll('.differences tbody tr').length < all, all);
  await page.locator('.differences thead button').first().click();
  await page.waitForSelector('.differences tbody tr, .said');
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
    await page.getByLabel('A and B').selectOption(way);
    await drawn(page);
  }
  await page.getByLabel('aligned by').selectOption('hand');
  await page.getByLabel('B earlier by').fill('5');
  await page.keyboard.press('Tab');
  await page.waitForFunction(() => /compare=overlay:5/.test(location.hash));
  await page.locator('.links a', { hasText: 'Compare' }).click();
  await page.waitForSelector('.differences tbody tr');
  await page.locator('.differences tbody button').first().click();
  await page.waitForSelector('.asked .plot canvas');
}

/** An event of B is where B is laid over A, and goes into a copy of B. Here both are the same recording: it is of both. */
async function eventOfB(page, url) {
  await page.goto(`${url}#/cpu?compare=overlay:2`);
  await drawn(page);
  await page.keyboard.press('e');
  await page.locator('dialog select').selectOption({ label: 'b' });
  await page.getByLabel('what happened').fill('of B');
  await page.keyboard.press('Enter');
  const marks = page.locator('.card', { hasText: 'Busy' }).first();
  await marks.locator('.event.of-b').waitFor({ state: 'attached' });
  const share = (mark) => mark.evaluate((m) => parseFloat(m.style.left) / parseFloat(m.closest('.over').style.width));
  const [ofA, ofB] = [marks.locator('.event:not(.of-b)').first(), marks.locator('.event.of-b').first()];
  assert.equal(await ofB.getAttribute('title'), 'b: of B');
  assert.equal(await ofB.getAttribute('data-of'), 'B');
  assert.ok(Math.abs((await share(ofB)) - 0.5) < 0.01, 'what is noted in the middle is in the middle');
  assert.ok((await share(ofA)) > (await share(ofB)) + 0.01, "A's is two seconds later");
  await page.locator('.toolbar button', { hasText: /^save$/ }).click();
  await page.locator('dialog select').selectOption({ index: 1 });
  await page.locator('dialog .note', { hasText: '1 added event' }).waitFor();
  const [copy] = await Promise.all([page.waitForEvent('download'), page.locator('dialog .main').click()]);
  assert.match((await readFile(await copy.path())).toString('latin1'), /of B/);
  await page.evaluate(() => (location.hash = '#/notebook'));
  await page.locator('.events li', { hasText: 'b: of B' }).waitFor();
  page.on('dialog', (dialog) => dialog.accept());
  await page.locator('button', { hasText: 'Forget' }).click();
  await page.waitForFunction(() => !document.querySelector('.events'));
}

/** The item of the menu of a chart. */
async function choose(page, chart, item) {
  await page.locator('.card', { hasText: chart }).first().locator('.menu > button').click();
  await page.locator('[role^=menuitem]', { hasText: item }).click();
}

/** A histogram in each of its shapes, which the address keeps; a click keeps an instant. */
async function shapes(page, url) {
  await page.goto(url);
  await page.locator('.links a', { hasText: 'Scheduler' }).click();
  const card = page.locator('.card', { hasText: 'Runqueue latency' }).first();
  for (const shape of ['Heatmap', 'Quantile spectrum', 'Quantiles']) {
    await choose(page, 'Runqueue latency', shape);
    await card.locator('.plot canvas').waitFor();
  }
  await choose(page, 'Runqueue latency', 'Distribution');
  await card.locator('.marks').waitFor();
  const box = await page.locator('.over').first().boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.move(2, 2);
  await page.waitForFunction(() => /distribution/.test(location.hash) && /s=at:/.test(location.hash));
  assert.match(await card.locator('.instant').textContent(), /^at /);
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !/s=at:/.test(location.hash));
}

/** Charts, text and an event go into a copy, and are there when it is opened. */
async function notebook(page, url) {
  await page.goto(url);
  await drawn(page);
  await choose(page, 'Busy', 'Add to notebook');
  await page.keyboard.press('e');
  const what = page.locator('input:focus');
  await what.fill('something <b>happened</b>');
  await what.press('Enter');
  await page.waitForSelector('.event');
  await page.locator('.links a', { hasText: 'Notebook' }).click();
  await page.locator('button', { hasText: 'Add text' }).click();
  const text = page.locator('textarea:focus');
  await text.fill('# Seen\n<i>as written</i>');
  await text.press('Control+Enter');
  await page.locator('.prose h2', { hasText: 'Seen' }).waitFor();
  assert.equal(await page.locator('.prose i').count(), 0, 'text is no HTML');
  await page.locator('button', { hasText: 'Save a copy' }).click();
  const [copy] = await Promise.all([page.waitForEvent('download'), page.locator('dialog .main').click()]);
  const file = await copy.path();
  await page.waitForFunction(() => document.querySelectorAll('dialog').length === 0);
  page.on('dialog', (dialog) => dialog.accept());
  await page.locator('button', { hasText: 'Forget' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.cell').length === 0);
  return file;
}

async function notebookBack(page, url, recording, servers) {
  const file = await notebook(page, url);
  await page.goto(servers.empty.url);
  await page.waitForSelector('input[type=file], .app', { state: 'attached' });
  await page.evaluate(async ([bytes, name]) => {
    const blob = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
    await fetch(`view/open?name=${name}`, { method: 'POST', body: blob, headers: { 'x-rezolus': '1' } });
  }, [(await readFile(file)).toString('base64'), 'copy.parquet']);
  await page.goto(`${servers.empty.url}#/notebook`);
  await page.waitForFunction(() => document.querySelectorAll('.cell').length === 2);
  await page.waitForSelector('.event', { state: 'attached' });
}

/** A chart as files. */
async function files(page, url) {
  await page.goto(url);
  await drawn(page);
  for (const [item, begin] of [['PNG', '\x89PNG'], ['SVG', '<svg'], ['CSV', 'time,']]) {
    const [file] = await Promise.all([page.waitForEvent('download'), choose(page, 'CPU time by state', item)]);
    assert.equal((await readFile(await file.path())).toString('latin1').slice(0, begin.length), begin);
  }
}

/** A chart of the explorer on a page, and off it again. */
async function added(page, url) {
  await page.goto(`${url}#explore`);
  const input = page.locator('textarea');
  await input.fill('sum(rate(cpu_usage[$interval])) / 1e9');
  await input.press('Escape');
  await input.press('Enter');
  await drawn(page);
  await page.locator('summary', { hasText: 'Add to' }).click();
  await page.getByLabel('title').fill('Mine');
  await page.locator('form.sheet select').selectOption('cpu');
  await page.locator('form.sheet button').click();
  await page.locator('.links a', { hasText: /^CPU$/ }).click();
  await page.locator('h2', { hasText: 'Added here' }).scrollIntoViewIfNeeded();
  await choose(page, 'Mine', 'Remove');
  await page.waitForFunction(() => !document.body.textContent.includes('Added here'));
}

/** Everything that can be used has a name, on every page; charts say what they show. */
async function names(page, url) {
  await page.goto(url);
  await drawn(page);
  for (const link of await page.locator('.links a').all()) {
    await link.click();
    await page.waitForSelector('h1');
    const bare = await page.evaluate(() =>
      [...document.querySelectorAll('button, a, input, select, textarea, summary, [role=img]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.title || e.labels?.length))
        .map((e) => e.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(bare, []);
  }
  await page.keyboard.press('?');
  await page.locator('dialog .keys').first().waitFor();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog'));
}

/** What has the focus: whether it is seen, and where it is. */
const focused = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    const { top, bottom, width } = at.getBoundingClientRect();
    const { outlineStyle } = getComputedStyle(at);
    const last = window.last;
    window.last = at;
    return {
      body: at === document.body,
      name: at.getAttribute('aria-label') || at.textContent.trim().slice(0, 40) || at.outerHTML.slice(0, 60),
      seen: bottom > 0 && top < innerHeight && width > 0 && (outlineStyle !== 'none' || at.matches('.query textarea')),
      forward: !last?.isConnected || Boolean(last.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING),
    };
  });

/** Tab goes through everything in the order of the page, and where it is can be seen. */
async function tabbing(page, url) {
  await page.goto(`${url}#/cpu`);
  await drawn(page);
  const visited = [];
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const at = await focused(page);
    if (at.body) break;
    assert.ok(at.seen, `the focus is not seen on ${at.name}`);
    assert.ok(at.forward, `the focus goes back to ${at.name}`);
    visited.push(at.name);
  }
  assert.equal(visited[0], 'Skip to the charts');
  for (const name of ['About', 'zoom in', 'save', 'keys', 'menu of Busy']) assert.ok(visited.includes(name), `Tab does not reach ${name}`);
}

/** Dialogs keep the focus until Escape gives it back; so do menus, and what they do. */
async function focusBack(page, url) {
  await page.goto(`${url}#/cpu`);
  await drawn(page);
  for (const name of [/^open$/, /^save$/, /^event$/, /^\?$/]) {
    const button = page.locator('.toolbar button', { hasText: name });
    await button.focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      // Between the last and the first the browser's own controls have their turn.
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog')), `Tab leaves ${name}`);
    }
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('dialog'));
    assert.ok(await button.evaluate((b) => b === document.activeElement), `the focus does not come back from ${name}`);
  }
  const menu = page.locator('.card', { hasText: 'Busy' }).first().locator('.menu > button');
  const back = () => menu.evaluate((b) => b === document.activeElement);
  await menu.focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('End');
  assert.match(await page.evaluate(() => document.activeElement.textContent), /notebook/);
  await page.keyboard.press('Escape');
  assert.ok(await back(), 'Escape gives the focus back to the menu');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.table table');
  assert.ok(await back(), 'what a menu does leaves the focus with its chart');
}

/** An instant is kept from the keyboard; keys without a modifier can be turned off. */
async function keysAlone(page, url) {
  await page.goto(`${url}#/cpu`);
  await drawn(page);
  const instant = () => page.evaluate(() => Number(/s=at:([\d.]+)/.exec(location.hash)?.[1]));
  await page.keyboard.press('.');
  await page.waitForFunction(() => /s=at:/.test(location.hash));
  const first = await instant();
  await page.keyboard.press(',');
  await page.waitForFunction((first) => Number(/s=at:([\d.]+)/.exec(location.hash)[1]) < first, first);
  await page.keyboard.press('?');
  await page.getByLabel('keys without Ctrl or Alt').uncheck();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog'));
  await page.keyboard.press('s');
  await page.keyboard.press('e');
  await page.waitForTimeout(100);
  assert.equal(await page.locator('dialog, .grid.small').count(), 0);
  await page.evaluate(() => localStorage.clear());
}

/** Nothing moves by itself, also while charts wait. */
async function still(page, url) {
  await page.goto(url);
  await drawn(page);
  const moving = await page.evaluate(() => {
    const card = Object.assign(document.createElement('div'), { className: 'waiting' });
    document.body.append(card);
    const running = document.getAnimations().length;
    card.remove();
    return running;
  });
  assert.equal(moving, 0);
}

export const checks = {
  'accessible: nothing open': { on: 'empty', run: accessible('empty') },
  'every page at three widths': { run: everyPage },
  'zoom and back': { run: zoom },
  'deep link': { run: deepLink },
  'deep link of a line, zoomed': { run: deepSelection },
  'dragging and the wheel': { run: moving },
  'a copy is saved': { run: saved },
  'table of differences': { on: 'both', run: differences },
  explorer: { run: explorer },
  'table from the keyboard': { run: table },
  metrics: { run: metrics },
  'drop a file': { on: 'empty', run: drop },
  'shapes of a histogram': { run: shapes },
  'notebook, saved and opened': { needs: 'empty', run: notebookBack },
  'a chart as files': { run: files },
  'a chart added to a page': { run: added },
  'names of controls': { run: names },
  'tabbing through a page': { run: tabbing },
  'the focus comes back': { run: focusBack },
  'keys alone': { run: keysAlone },
  'nothing moves by itself': { run: still },
  'an event of B': { on: 'both', run: eventOfB },
  'A and B': { on: 'both', run: compare },
  'accessible: one input': { run: accessible('full') },
  'accessible: two inputs': { on: 'both', run: accessible('both') },
};
