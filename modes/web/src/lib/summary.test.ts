import { expect, it } from 'vitest';
import type { Heat, Lines } from './drawn';
import { numbersOf, summary, tabled } from './summary';

const grid = { start: 0, step: 1, count: 3, per: 1, interval: 1, warnings: [], infos: [] };
const line = (label: string, values: number[], side = 0) => ({ key: label, label, labels: {}, mean: Float64Array.from(values), side, color: 0 });
const lines = (...of: Lines['lines']): Lines => ({ ...grid, kind: 'lines', lines: of });

it('has the numbers of a line, with what went on within lots', () => {
  expect(numbersOf(Float64Array.of(1, NaN, 3))).toEqual({ least: 1, mean: 2, greatest: 3, last: 3 });
  expect(numbersOf(Float64Array.of(1, NaN), Float64Array.of(0, NaN), Float64Array.of(9, NaN))).toMatchObject({ least: 0, greatest: 9 });
  expect(numbersOf(Float64Array.of(NaN)).mean).toBeNaN();
});

it('says what is drawn', () => {
  expect(summary('Busy', lines(line('a', [10, 20, 30]), line('b', [50, NaN, 50])), 'percent')).toBe(
    'Busy: b min 50 %, mean 50 %, max 50 %, last 50 %; a min 10 %, mean 20 %, max 30 %, last 30 %',
  );
  expect(summary('Busy', lines(line('a', [1]), line('a', [2], 1)), 'count', ['old', 'new'])).toBe(
    'Busy: a of new min 2, mean 2, max 2, last 2; a of old min 1, mean 1, max 1, last 1',
  );
  expect(summary('Busy', lines(...Array.from({ length: 9 }, (_, i) => line(`${i}`, [i]))), 'count')).toContain('; and 3 more');
  expect(summary('Busy', lines(), 'count')).toBe('Busy: no value');
});

it('says quantiles of distributions', () => {
  const cells = { lot: Uint32Array.of(0, 1), bucket: Uint32Array.of(0, 1), count: Float64Array.of(1, 1) };
  const heat: Heat = { ...grid, kind: 'heat', bounds: [0, 10, 30], cells, greatest: 1 };
  expect(tabled(heat).map((r) => r.label)).toEqual(['p50', 'p90', 'p99', 'p99.9', 'max']);
  expect(tabled(heat).at(-1)).toMatchObject({ least: 10, mean: 20, greatest: 30, last: 30 });
  expect(summary('Latency', heat, 'count')).toContain('Latency: p50 min 5, mean 12.5, max 20, last 20; ');
});
