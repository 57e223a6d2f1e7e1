// Pictures of everything the page can look like, in three widths, light and dark: REZOLUS=binary node e2e/pictures.mjs FOLDER RECORDING [B] [AGENT'S URL].
// $ONLY: those whose names have it; $WIDTHS and $THEMES: not all of them.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { scenes } from './scenes.mjs';
import { CHROMIUM, FLAGS, free, serve } from './servers.mjs';

const [folder, recording, ...others] = process.argv.slice(2);
if (!recording) throw new Error('say a folder and a recording');
const agent = others.find((o) => /^https?:/.test(o));
const other = others.find((o) => o !== agent) ?? recording;
const widths = (process.env.WIDTHS ?? '1600,1280,390').split(',').map(Number);
const themes = (process.env.THEMES ?? 'light,dark').split(',');
const HEIGHT = { 390: 844 };

mkdirSync(folder, { recursive: true });
const servers = {
  full: await serve(await free(), [recording]),
  empty: await serve(await free(), []),
  both: await serve(await free(), [`before=${recording}`, `after=${other}`]),
  ...(agent ? { live: await serve(await free(), [agent]) } : {}),
};
const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
try {
  for (const width of widths)
    for (const colorScheme of themes)
      for (const [name, { on = 'full', open }] of Object.entries(scenes)) {
        if (!name.includes(process.env.ONLY ?? '') || !servers[on]) continue;
        // Each as if nobody had been there before: what is written is kept by the browser.
        const context = await browser.newContext({ viewport: { width, height: HEIGHT[width] ?? 1000 }, colorScheme });
        const page = await context.newPage();
        page.setDefaultTimeout(10_000);
        const path = join(folder, `${name.replaceAll(' ', '-')}-${width}-${colorScheme}.png`);
        try {
          await open(page, servers[on].url);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (wide > 0) console.log(`${path}: ${wide} px wider than the screen`);
        } catch (error) {
          console.log(`${path}: ${error.message.split('\n')[0]}`);
        }
        await page.screenshot({ path, fullPage: Boolean(process.env.WHOLE) });
        await context.close();
      }
} finally {
  await browser.close();
  for (const server of Object.values(servers)) await server.stop();
}
