import { describe, expect, it } from 'vitest';
import { align, difference, rankChanges, ratio } from './compare';

it('aligns', () => {
  const [a, b] = [{ start: 100, end: 200 }, { start: 1000, end: 1050 }];
  expect(align(a, b, 'start', 0)).toBe(-900);
  expect(align(a, b, 'end', 5)).toBe(-845);
  expect(align(a, b, 'none', -3)).toBe(-3);
});

it('compares value by value', () => {
  expect([...difference([1, 2, NaN], [3, 1, 1, 1])]).toEqual([2, -1, NaN, NaN]);
  expect([...ratio([2, 0, 0], [4, 0, 3, 1])]).toEqual([2, NaN, Infinity, NaN]);
});

describe('rankChanges', () => {
  const noisy = (around: number, noise: number): number[] => Array.from({ length: 99 }, (_, i) => around + noise * Math.sin(i * 7));

  it('puts first what moved most by its own measure', () => {
    const ranked = rankChanges([
      { name: 'noise', a: noisy(1000, 900), b: noisy(1100, 900) },
      { name: 'same', a: noisy(5, 1), b: noisy(5, 1) },
      { name: 'small but sure', a: noisy(1, 0.01), b: noisy(2, 0.01) },
    ]);
    expect(ranked.map((r) => r.name)).toEqual(['small but sure', 'noise', 'same']);
    expect(ranked[0]!.ratio).toBeCloseTo(2);
    expect(ranked[2]!.score).toBe(0);
  });

  it('is not impressed by a spike', () => {
    const spike = noisy(5, 1);
    spike[50] = 1e9;
    const [first, second] = rankChanges([{ name: 'spike', a: noisy(5, 1), b: spike }, { name: 'moved', a: noisy(5, 1), b: noisy(9, 1) }]);
    expect(first!.name).toBe('moved');
    expect(second!.score).toBeLessThanOrEqual(1);
  });

  it('takes constants, rare events, gaps and nothing', () => {
    const ranked = rankChanges([
      { name: 'b', a: [1, 1], b: [] },
      { name: 'a', a: [NaN], b: [1] },
      { name: 'zero', a: [0, 0], b: [0, 0] },
      { name: 'rare', a: [0, 0, 0], b: [0, 0, 3] },
      { name: 'constant', a: [10, 10], b: [11, 11] },
      { name: 'gaps', a: [1, NaN, 2, 3], b: [4, 5, NaN, 6] },
    ]);
    expect(ranked.slice(0, 3).map((r) => r.name)).toEqual(['constant', 'gaps', 'rare']);
    expect(ranked.slice(3).map((r) => r.name)).toEqual(['a', 'b', 'zero']);
    expect(ranked.every((r) => Number.isFinite(r.score))).toBe(true);
    expect(rankChanges([])).toEqual([]);
  });
});
