import { expect, it } from 'vitest';
import type { Chart } from '../api/types';
import { readWays, shaped, shapesOf, writeWays } from './ways';

const chart = (kind: Chart['kind'], query: string): Chart => ({ title: '', kind, unit: '', queries: [{ query }] });

it('writes what is chosen, and reads it', () => {
  const latency = chart('percentiles', 'histogram_quantile($quantile, a)');
  expect(readWays(latency, [])).toEqual({ shape: null, table: false, log: true });
  for (const ways of [
    { shape: null, table: true, log: true },
    { shape: null, table: false, log: false },
    { shape: 'spectrum' as const, table: false, log: false },
    { shape: 'quantiles' as const, table: true, log: false },
  ])
    expect(readWays(latency, writeWays(latency, ways))).toEqual(ways);
  expect(writeWays(latency, readWays(latency, []))).toEqual([]);
  expect(readWays(latency, ['nonsense'])).toEqual(readWays(latency, []));
});

it('asks for the histogram behind quantiles', () => {
  const latency = chart('percentiles', 'histogram_quantile($quantile, a)');
  expect(shaped(latency, null)).toBe(latency);
  expect(shaped(latency, 'quantiles')).toBe(latency);
  expect(shaped(latency, 'spectrum')).toMatchObject({ kind: 'heatmap', queries: [{ query: 'a' }] });
});

it('asks for quantiles of a histogram', () => {
  const heat = chart('heatmap', 'rate(a[5s])');
  expect(shaped(heat, 'quantiles')).toMatchObject({ kind: 'percentiles', queries: [{ query: 'histogram_quantile($quantile, rate(a[5s]))' }] });
  expect(shaped(heat, 'heatmap').queries).toBe(heat.queries);
});

it('offers what there can be', () => {
  expect(shapesOf(chart('stacked', 'a'), false)).toEqual(['lines', 'rows']);
  expect(shapesOf(chart('heatmap', 'a'), false)).toEqual(['rows', 'lines']);
  expect(shapesOf(chart('heatmap', 'a'), true)).toEqual(['heatmap', 'quantiles', 'spectrum', 'distribution']);
  expect(shapesOf(chart('line', 'histogram_quantile(0.9, a)'), false)).toContain('spectrum');
  expect(shapesOf(chart('percentiles', 'a / $quantile'), false)).toEqual(['quantiles']);
});
