// Everything the page can look like: a name, on which server (full, empty, both, live), whether something is over it, and how to get there.

/** Everything on screen is drawn: no card there waits for data, and each has its canvas or says why not. */
export const settled = () => {
  const cards = [...document.querySelectorAll('.card')].filter((card) => {
    const { top, bottom } = card.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  const done = (card) => card.getAttribute('aria-busy') !== 'true' && card.querySelector('canvas, .said, .error, .empty, table');
  return document.querySelector('h1') !== null && cards.every(done);
};

/** A page of the navigation, or a link. */
const at = (hash) => async (page, url) => {
  // The same document with another fragment is not loaded again.
  await page.goto('about:blank');
  await page.goto(`${url}#/${hash}`);
  await page.waitForFunction(settled);
};

const then = (hash, act) => async (page, url) => {
  await at(hash)(page, url);
  await act(page);
  await page.waitForFunction(settled);
};

const menuOf = (page, chart) => page.locator('.card', { hasText: chart }).first().locator('.menu > button').click();
const bar = (page, name) => page.locator('.toolbar button', { hasText: name }).click();

const RUNQUEUE = 'scheduler/Waiting for a CPU/Runqueue latency';
const as = (shape) => `scheduler?s=as/${RUNQUEUE.replaceAll(' ', '+')}:${shape}`;
const QUERY = 'explore?q=sum+by+(state)+(rate(cpu_usage[$interval]))+/+1e9';

/** Points at the middle of the first chart. */
async function point(page) {
  const box = await page.locator('.over').first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2);
}

async function noted(page) {
  await menuOf(page, 'Busy');
  await page.locator('[role^=menuitem]', { hasText: 'Add to notebook' }).click();
  await page.keyboard.press('e');
  await page.locator('dialog input').first().fill('deployed a release with a rather long name, as people write them');
  await page.keyboard.press('Enter');
  await page.evaluate(() => (location.hash = '#/notebook'));
  await page.locator('button', { hasText: 'Add text' }).click();
  await page.locator('textarea:focus').fill('# Seen\nSome *text* about `cpu_usage`:\n- one\n- two');
  await page.keyboard.press('Control+Enter');
}

export const scenes = {
  ...Object.fromEntries(
    ['overview', 'cpu', 'scheduler', 'memory', 'network', 'tcp', 'blockio', 'syscall', 'cgroups', 'exceptions', 'agent'].map((id) => [id, { open: at(id) }]),
  ),
  small: { open: at('cpu?s=size:small') },
  tooltip: { over: true, open: then('cpu', point) },
  'chart menu': { over: true, open: then('cpu', (page) => menuOf(page, 'CPU time by state')) },
  // Where there is more than one cgroup.
  'cgroup picker': { over: true, open: then('cgroups', async (page) => (await page.locator('.picker').count()) && page.locator('.picker summary').click()) },
  table: { open: at('cpu?s=as/cpu/Usage/CPU+time+by+state:table') },
  heatmap: { open: at(as('heatmap')) },
  spectrum: { open: at(as('spectrum')) },
  distribution: { open: at(as('distribution')) },
  explorer: { open: at('explore') },
  'explorer with a query': { open: at(QUERY) },
  'explorer with a mistake': { open: at('explore?q=sum(rate(cpu_usage') },
  completion: { over: true, open: then('explore', (page) => page.locator('textarea').pressSequentially('rate(cpu_')) },
  'add to': { over: true, open: then(QUERY, (page) => page.locator('summary', { hasText: 'Add to' }).click()) },
  metrics: { open: at('metrics') },
  about: { open: at('about') },
  notebook: { open: at('notebook') },
  'notebook with cells': { open: then('cpu', noted) },
  keys: { open: then('cpu', (page) => page.keyboard.press('?')) },
  'open dialog': { open: then('cpu', (page) => bar(page, /^open$/)) },
  'save dialog': { open: then('cpu', (page) => bar(page, /^save$/)) },
  'event dialog': { open: then('cpu', (page) => page.keyboard.press('e')) },
  empty: { on: 'empty', open: async (page, url) => void (await page.goto(url), await page.waitForSelector('h1')) },
  'A and B overlaid': { on: 'both', open: at('cpu?compare=overlay:5') },
  'A and B side by side': { on: 'both', open: at('cpu?compare=side:5') },
  'difference of A and B': { on: 'both', open: at('cpu?compare=difference:5') },
  'ratio of A and B': { on: 'both', open: at('scheduler?compare=ratio:5') },
  'distributions of A and B': { on: 'both', open: at(`${as('distribution')}&compare=overlay:5`) },
  'heatmaps of A and B': { on: 'both', open: at(`${as('heatmap')}&compare=side:5`) },
  differences: { on: 'both', open: then('compare', (page) => page.waitForSelector('.differences tbody tr')) },
  'about A and B': { on: 'both', open: at('about') },
  'live overview': { on: 'live', open: at('overview?live=1&range=60') },
};
