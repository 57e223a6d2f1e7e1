import { expect, it } from 'vitest';
import { bands, extent, isolated, lotTimes } from './envelope';

it('lays out lines first, then bands', () => {
  const { data, bands: pairs } = bands({
    start: 100, step: 4, count: 2, per: 4,
    series: [{ mean: [1, NaN], least: [0, NaN], greatest: [9, NaN] }, { mean: [5, 6] }, { mean: [2, 3], least: [1, 1], greatest: [4, Infinity] }],
  });
  expect(data).toEqual([[101.5, 105.5], [1, null], [5, 6], [2, 3], [9, null], [0, null], [4, null], [1, 1]]);
  expect(pairs).toEqual([[4, 5], null, [6, 7]]);
});

it('has exact times where a lot is one step', () => {
  expect(lotTimes({ start: 10, step: 0.5, count: 3, per: 1 })).toEqual([10, 10.5, 11]);
});

it('finds values that are alone', () => {
  expect(isolated([1, null, 2, null, 3, 4])).toEqual([0, 2]);
  expect(isolated([null])).toEqual([]);
});

it('finds what an axis must hold', () => {
  expect(extent([[1, null], [null, -7]])).toEqual([-7, 1]);
  expect(extent([[null], []])).toBeNull();
});
