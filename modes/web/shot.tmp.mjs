import { chromium } from 'playwright-core';
const [,, url, out, w='1600', scheme='light', h='1000', wait='1500'] = process.argv;
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox','--disable-gpu'] });
const p = await b.newPage({ viewport: { width: +w, height: +h }, colorScheme: scheme });
p.on('console', m => m.type()==='error' && console.log('console:', m.text()));
p.on('pageerror', e => console.log('pageerror:', e.message));
p.on('requestfailed', r => console.log('failed:', r.url(), r.failure()?.errorText));
p.on('response', r => r.status()>=400 && console.log('status', r.status(), r.url()));
const t=Date.now(); await p.goto(url); await p.waitForTimeout(+wait); await p.screenshot({ path: out }); console.log(Date.now()-t); await b.close();
