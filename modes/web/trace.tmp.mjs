import { chromium } from 'playwright-core';
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox','--disable-gpu'] });
for (let i=0;i<3;i++){
const c = await b.newContext({ viewport: { width: 1600, height: 1000 } });
const p = await c.newPage();
await p.goto(process.argv[2]); await p.waitForTimeout(4000);
console.log(await p.evaluate(()=>performance.getEntriesByType('resource').map(r=>`${r.startTime.toFixed(0)} ${(r.duration).toFixed(0)} ${(r.responseStart-r.requestStart).toFixed(0)} ${decodeURIComponent(r.name).slice(21,120)}`).join('\n')));
console.log(await p.evaluate(()=>JSON.stringify(performance.getEntriesByType('paint').map(r=>[r.name,r.startTime])))); await c.close();}
await b.close();
