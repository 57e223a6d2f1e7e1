import { expect, it } from 'vitest';
import { bands, column, extent, isolated, lotTimes, stacked } from './envelope';

it('lays out lines first, then bands', () => {
  const { columns, bands: pairs } = bands(
    [{ mean: [1, NaN], least: [0, NaN], greatest: [9, NaN] }, { mean: [5, 6] }, { mean: [2, 3], least: [1, 1], greatest: [4, Infinity] }],
    2,
  );
  expect(columns).toEqual([[1, null], [5, 6], [2, 3], [9, null], [0, null], [4, null], [1, 1]]);
  expect(pairs).toEqual([[3, 4], null, [5, 6]]);
});

it('leaves out what a logarithmic axis has no place for', () => {
  expect(column([-1, 0, 2], 4, true)).toEqual([null, null, 2, null]);
});

it('takes what has no gap as it is', () => {
  const values = Float64Array.of(1, 0, 3);
  expect(column(values, 3)).toBe(values);
  expect(column(values, 2)).toEqual([1, 0]);
  expect(column(values, 3, true)).toEqual([1, null, 3]);
  expect(column(Float64Array.of(1, NaN), 2)).toEqual([1, null]);
});

it('is in the middle of a lot, exactly where a lot is one step', () => {
  expect(lotTimes({ start: 100, step: 4, count: 2, per: 4 })).toEqual([101.5, 105.5]);
  expect(lotTimes({ start: 10, step: 0.5, count: 3, per: 1 })).toEqual([10, 10.5, 11]);
});

it('stacks means under the greatest of the total', () => {
  const total = { mean: Float64Array.of(3), least: Float64Array.of(0), greatest: Float64Array.of(90), exact: true };
  const means = [Float64Array.of(1), Float64Array.of(2)];
  const of = (...all: number[]) => all.map((v) => Float64Array.of(v));
  expect(stacked(means, total, 1)).toEqual({ columns: of(1, 3, 90), peak: 2 });
  expect(stacked(means, null, 1)).toEqual({ columns: of(1, 3), peak: null });
});

it('finds values that are alone', () => {
  expect(isolated([1, null, 2, null, 3, 4])).toEqual([0, 2]);
  expect(isolated([null])).toEqual([]);
});

it('finds what an axis must hold', () => {
  expect(extent([[1, null], [null, -7]])).toEqual([-7, 1]);
  expect(extent([[null], []])).toBeNull();
});
