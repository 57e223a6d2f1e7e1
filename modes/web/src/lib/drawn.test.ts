import { expect, test } from 'vitest';
import type { HeatAnswer, SeriesAnswer } from '../api/types';
import { asked, difference, gathered, join, lotAt, onto, totalOf, withTotals } from './drawn';

const grid = { start: 100, step: 1, count: 3, per: 1, interval: 1 };

function answer(values: number[], start = 100): SeriesAnswer {
  const series = [{ labels: { id: '0' }, mean: Float64Array.from(values) }];
  return { ...grid, start, kind: 'series', reduced: false, series, warnings: [], infos: [] };
}

test('B is put onto the time axis of A and has its colours', () => {
  const drawn = join([
    { legend: '{{id}}', answer: answer([1, 2, 3]), side: 0, shift: 0 },
    { legend: '{{id}}', answer: answer([4, 6, NaN], 500), side: 1, shift: -400 },
  ]);
  if (drawn?.kind !== 'lines') throw new Error('no lines');
  expect(drawn.lines.map((l) => [l.label, l.side, l.color])).toEqual([
    ['0', 0, 0],
    ['0', 1, 0],
  ]);
  expect([...difference(drawn, false).lines[0]!.mean]).toEqual([3, 4, NaN]);
  expect([...difference(drawn, true).lines[0]!.mean]).toEqual([4, 3, NaN]);
});

test('series of A and B are the same by what tells them apart on a side', () => {
  const of = (host: string, ids: string[]): SeriesAnswer => ({
    ...answer([1]),
    series: ids.map((id) => ({ labels: { __name__: 'a', host, id }, mean: Float64Array.of(1, 1, 1) })),
  });
  const drawn = join([
    { legend: '', answer: of('x', ['0', '1']), side: 0, shift: 0 },
    { legend: '', answer: of('y', ['1']), side: 1, shift: 0 },
  ]);
  if (drawn?.kind !== 'lines') throw new Error('no lines');
  expect(drawn.lines.map((l) => l.label)).toEqual(['a{id="0"}', 'a{id="1"}', 'a{id="1"}']);
  expect(drawn.lines[1]!.key).toBe(drawn.lines[2]!.key);
  expect(difference(drawn, true).lines).toHaveLength(1);
  // Two queries without a legend are two lines.
  const twice = join([{ legend: '', answer: answer([1]), side: 0, shift: 0 }, { legend: '', answer: answer([2]), side: 0, shift: 0 }]);
  expect(twice?.kind === 'lines' && new Set(twice.lines.map((l) => l.key)).size).toBe(2);
});

test('of very many series those that go highest are drawn', () => {
  const series = Array.from({ length: 1200 }, (_, i) => ({ labels: { id: String(i) }, mean: Float64Array.of(i, 0, 0) }));
  const drawn = join([{ legend: '{{id}}', answer: { ...answer([1]), series }, side: 0, shift: 0 }]);
  if (drawn?.kind !== 'lines') throw new Error('no lines');
  expect([drawn.lines.length, drawn.lines[0]!.label, drawn.lines.at(-1)!.label]).toEqual([1000, '200', '1199']);
  expect(drawn.warnings).toEqual(['1000 of 1200 series are drawn: those that go highest.']);
});

test('what the server said is said once, warnings apart from infos', () => {
  const noted = { ...answer([1]), warnings: ['w'], infos: ['i'] };
  const part = { legend: '', answer: noted, side: 0, shift: 0 };
  const drawn = join([part, part]);
  expect([drawn?.warnings, drawn?.infos]).toEqual([['w'], ['i']]);
});

test('totals are exact of all lines, and bounds of some', () => {
  const lots: SeriesAnswer = {
    ...grid, count: 1, kind: 'series', reduced: true, warnings: [], infos: [],
    series: ['0', '1'].map((id) => ({ labels: { id }, mean: Float64Array.of(1), least: Float64Array.of(0), greatest: Float64Array.of(9) })),
  };
  const part = { legend: '{{id}}', answer: lots, side: 0, shift: 0 };
  const drawn = join([part]);
  if (drawn?.kind !== 'lines') throw new Error('no lines');
  expect(totalOf(drawn, 0, null)).toMatchObject({ exact: false, greatest: Float64Array.of(18) });
  const whole: SeriesAnswer = { ...lots, series: [{ labels: {}, mean: Float64Array.of(2), least: Float64Array.of(1), greatest: Float64Array.of(10) }] };
  const known = withTotals(drawn, [{ ...part, answer: whole }]);
  expect(totalOf(known, 0, null)).toMatchObject({ exact: true, greatest: Float64Array.of(10) });
  expect(totalOf(known, 0, new Set([drawn.lines[0]!.key]))).toMatchObject({ exact: true, greatest: Float64Array.of(9) });
  expect(totalOf(known, 1, null)).toBeNull();
});

test('series without any value are not drawn', () => {
  const drawn = join([{ legend: '', answer: answer([NaN, NaN, NaN]), side: 0, shift: 0 }]);
  expect(drawn?.kind === 'lines' && drawn.lines).toEqual([]);
});

test('values of another grid: the lot at or before, none outside', () => {
  const out = onto(Float64Array.of(1, 2), { ...grid, start: 101, step: 2, count: 2 }, { ...grid, count: 5 });
  expect([...out]).toEqual([NaN, 1, 1, 2, 2]);
  expect(lotAt(grid, 101.5)).toBe(1);
});

test('distributions of B are on the time axis and the buckets of A', () => {
  const heat = (bounds: number[], start: number): HeatAnswer => {
    const cells = { lot: Uint32Array.of(0), bucket: Uint32Array.of(0), count: Float64Array.of(1) };
    return { ...grid, start, kind: 'heatmap', bounds, cells, greatest: 1, warnings: [], infos: [] };
  };
  const a = { legend: '', answer: heat([4, 8], 100), side: 0, shift: 0 };
  const b = { legend: '', answer: heat([2, 4], 500), side: 1, shift: -400 };
  const drawn = join([a, b]);
  if (drawn?.kind !== 'heat') throw new Error('no heat');
  expect([drawn.bounds, drawn.other?.bounds, drawn.other?.start]).toEqual([[2, 4, 8], [2, 4, 8], 100]);
  expect([drawn.cells.bucket[0], drawn.other?.cells.bucket[0]]).toEqual([1, 0]);
  // B without any: the server does not know that it would be histograms.
  const none = join([a, { ...b, answer: answer([]) }]);
  expect(none?.kind === 'heat' && none.other?.cells.lot.length).toBe(0);
});

test('percentiles are asked for together, and named by their quantiles', () => {
  const queries = [{ query: 'histogram_quantile($quantile, x)', legend: 'read' }];
  expect(asked({ title: '', kind: 'percentiles', unit: '', queries })).toEqual([{ ...queries[0], quantiles: [0.5, 0.9, 0.99, 0.999] }]);
  expect(asked({ title: '', kind: 'line', unit: '', queries })).toEqual(queries);
  const series = ['0.5', '0.99'].map((quantile) => ({ labels: { op: 'read', quantile }, mean: Float64Array.of(1, 1, 1) }));
  const of = (legend: string) => join([{ legend, answer: { ...answer([1]), series }, side: 0, shift: 0, quantiles: [0.5, 0.99] }]);
  const labels = (legend: string) => (of(legend) as { lines: { label: string }[] }).lines.map((l) => l.label);
  expect(labels('{{op}}')).toEqual(['read p50', 'read p99']);
  expect(labels('$quantile of {{op}}')).toEqual(['p50 of read', 'p99 of read']);
  expect(labels('')).toEqual(['p50', 'p99']);
});

test('the least parts of a whole are one', () => {
  const series = [1, 9, NaN, 5, 2].map((v, i) => ({ labels: { id: String(i) }, mean: Float64Array.of(v, v, NaN) }));
  const drawn = join([{ legend: '{{id}}', answer: { ...answer([]), series }, side: 0, shift: 0 }]);
  if (drawn?.kind !== 'lines') throw new Error('no lines');
  const few = gathered(drawn, 2, null);
  expect(few.lines.map((l) => [l.label, ...l.mean])).toEqual([
    ['1', 9, 9, NaN],
    ['3', 5, 5, NaN],
    ['2 others', 3, 3, NaN],
  ]);
  // One other is no rest; and one that was chosen is seen.
  expect(gathered(drawn, 3, null)).toBe(drawn);
  expect(gathered(drawn, 2, new Set([drawn.lines[0]!.key]))).toBe(drawn);
  expect(gathered(drawn, 2, new Set([drawn.lines[1]!.key])).lines).toHaveLength(3);
});
