import { expect, it } from 'vitest';
import { bounded, stack, totalQuery } from './stack';

it('adds up, with gaps only where nothing is', () => {
  const stacked = stack([Float64Array.of(1, NaN, NaN, 4), Float64Array.of(10, 20, NaN), Float64Array.of(100, NaN, NaN, 400)]);
  expect(stacked.map((s) => [...s])).toEqual([[1, 0, NaN, 4], [11, 20, NaN, 4], [111, 20, NaN, 404]]);
});

it('takes none, and leaves what it got', () => {
  expect(stack([])).toEqual([]);
  const values = Float64Array.of(1);
  stack([values, values]);
  expect([...values]).toEqual([1]);
});

it('bounds a total by its parts, and says that it does', () => {
  const part = (mean: number, least: number, greatest: number) => ({
    mean: Float64Array.of(mean, NaN), least: Float64Array.of(least, NaN), greatest: Float64Array.of(greatest, NaN),
  });
  const total = bounded([part(1, 0, 9), part(2, 2, 2)])!;
  expect([[...total.mean], [...total.least], [...total.greatest]]).toEqual([[3, NaN], [2, NaN], [11, NaN]]);
  expect(total.exact).toBe(false);
  expect(bounded([part(1, 0, 9)])!.exact).toBe(true);
  expect(bounded([{ mean: Float64Array.of(1) }])).toBeNull();
});

it('asks for the total of all queries', () => {
  expect(totalQuery(['a'])).toBe('sum(a)');
  expect(totalQuery(['a # b', 'c'])).toBe('(sum(a # b\n) or vector(0)) + (sum(c) or vector(0))');
});
