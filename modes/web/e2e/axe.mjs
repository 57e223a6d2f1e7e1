// What Deque's axe finds in everything the page can look like, light and dark, and what is wider than a telephone.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { scenes } from './scenes.mjs';

const engine = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** A line for each rule that a page breaks in a theme. */
async function broken(page, name, over) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.waitForFunction((theme) => document.documentElement.dataset.theme === theme, colorScheme);
    // What is under something that is open is not to be hit.
    const options = { runOnly: { type: 'tag', values: TAGS }, rules: { 'target-size': { enabled: !over } } };
    const { violations } = await page.evaluate((options) => axe.run(document, options), options);
    for (const { id, impact, nodes } of violations)
      found.push(`${name}, ${colorScheme}: ${impact} ${id}, ${nodes.length} times, such as ${nodes[0].html.slice(0, 140)} (${nodes[0].failureSummary.replaceAll(/\s+/g, ' ').slice(0, 240)})`);
  }
  return found;
}

/** Whether a page in its present state fits a narrow screen. */
async function wide(page, name) {
  const size = page.viewportSize();
  await page.setViewportSize({ width: 390, height: 844 });
  // Charts are drawn anew a few in a frame.
  await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth, null, { timeout: 3000 }).catch(() => undefined);
  const by = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.setViewportSize(size);
  return by > 0 ? [`${name}: ${by} px wider than the screen`] : [];
}

/** Looks at every scene of a server. */
export const accessible = (on) => async (page, url) => {
  await page.addInitScript(engine);
  const found = [];
  for (const [name, scene] of Object.entries(scenes)) {
    if ((scene.on ?? 'full') !== on || !name.includes(process.env.SCENE ?? '')) continue;
    await page.emulateMedia({ colorScheme: 'light' });
    await scene.open(page, url);
    found.push(...(await broken(page, name, scene.over)), ...(await wide(page, name)));
    // What a scene writes is kept by the browser, and is none of the next one's.
    await page.evaluate(() => localStorage.clear());
  }
  if (found.length) throw new Error(`\n${found.join('\n')}`);
};
