import { expect, it } from 'vitest';
import { stack } from './stack';

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
