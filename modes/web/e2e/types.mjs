// Whether src/api/types.ts says what the server says: its answers, as literals of those types, go through the compiler.
// node e2e/types.mjs URL [URL of a server with two inputs]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));

async function json(url, path) {
  const answer = await fetch(new URL(path, url));
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** The header of an answer of `view/range`, with empty arrays for what is behind it. */
async function header(url, query, more = '') {
  const { inputs } = await json(url, 'view/state');
  const { start, end } = inputs[0];
  const answer = await fetch(new URL(`view/range?query=${encodeURIComponent(query)}&start=${start}&end=${end}&points=10${more}`, url));
  if (!answer.ok) throw new Error(`${query}: ${answer.status} ${await answer.text()}`);
  const body = await answer.arrayBuffer();
  return JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, new DataView(body).getUint32(0, true))));
}

const [one, two] = process.argv.slice(2);
const literals = [
  ['ServerState', await json(one, 'view/state')],
  ['Dashboard[]', (await json(one, 'view/dashboards')).dashboards],
  ['Metric[]', (await json(one, 'view/metrics')).metrics],
  ['About', await json(one, 'view/input/0/about')],
  ['Omit<SeriesAnswer, "series"> & { series: { labels: Labels }[] }', await header(one, 'rate(scheduler_context_switch[$interval])')],
  ['Omit<HeatAnswer, "cells"> & { cells: number; series: { labels: Labels }[] }', await header(one, 'rate(scheduler_runqueue_latency[$interval])')],
];
if (two) {
  const { inputs } = await json(two, 'view/state');
  literals.push(['{ rows: Difference[]; truncated: boolean }', await json(two, `view/differences?start=${inputs[0].start}&end=${inputs[0].end}&offset=0`)]);
}
const folder = mkdtempSync(join(web, 'node_modules', '.types-'));
try {
  const types = 'About, Dashboard, Difference, HeatAnswer, Labels, Metric, SeriesAnswer, ServerState';
  const lines = literals.map(([type, value], i) => `export const answer${i}: ${type} = ${JSON.stringify(value, null, 1)};`);
  writeFileSync(join(folder, 'answers.ts'), `import type { ${types} } from '../../src/api/types';\n${lines.join('\n')}\n`);
  const config = { extends: '../../tsconfig.json', include: ['answers.ts'], compilerOptions: { noEmit: true, noUnusedLocals: false } };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const { status, stdout } = spawnSync('npx', ['tsc', '-p', folder], { cwd: web, encoding: 'utf8' });
  if (status !== 0) {
    console.log(stdout.slice(0, 4000));
    throw new Error('src/api/types.ts does not say what the server says');
  }
  console.log(`ok      types of ${literals.length} answers`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
