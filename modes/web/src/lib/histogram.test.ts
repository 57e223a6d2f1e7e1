import { describe, expect, it } from 'vitest';
import type { Heat } from './drawn';
import { add, asQuantiles, byLot, distribution, histogramsOf, onBounds, placeOf, quantified, quantileAt, quantiles, shareBelow, spectrum } from './histogram';

function heat(bounds: number[], cells: [number, number, number][], count = 2): Heat {
  const of = { lot: Uint32Array.from(cells, (c) => c[0]), bucket: Uint32Array.from(cells, (c) => c[1]), count: Float64Array.from(cells, (c) => c[2]) };
  return { kind: 'heat', start: 0, step: 1, count, per: 1, interval: 1, bounds, cells: of, greatest: 1, warnings: [], infos: [] };
}

describe('quantiles', () => {
  it('are within the bucket that holds the rank', () => {
    const [median, high] = quantiles(heat([0, 10, 30], [[0, 1, 1], [0, 0, 1]]), [0.5, 0.75]);
    expect([...median!]).toEqual([10, NaN]);
    expect(high![0]).toBe(20);
  });

  it('reach the end of the last bucket, whatever rounding does', () => {
    const thirds = heat([0, 1, 2, 4], [[0, 0, 0.1], [0, 1, 0.2], [0, 2, 0.3]]);
    expect(quantiles(thirds, [0, 1]).map((v) => v[0])).toEqual([0, 4]);
  });
});

describe('spectrum', () => {
  it('gives each nine of the tail the same room', () => {
    expect([0, 0.9, 0.99, 0.9999, 1].map(placeOf).map((p) => +p.toFixed(9))).toEqual([0, 0.25, 0.5, 1, 1]);
    expect(quantileAt(0.25)).toBeCloseTo(0.9, 12);
    expect(quantileAt(placeOf(0.999))).toBeCloseTo(0.999, 12);
  });

  it('rises from row to row', () => {
    const rows = spectrum(heat([1, 2, 4, 8], [[0, 0, 900], [0, 1, 90], [0, 2, 10]], 1), 40).map((r) => r[0]!);
    expect(rows).toEqual([...rows].sort((a, b) => a - b));
    expect(rows[9]).toBeLessThanOrEqual(2);
    expect(rows[10]).toBeGreaterThan(2);
    expect(rows[20]).toBeGreaterThan(4);
  });
});

describe('distribution', () => {
  const h = heat([0, 1, 2, 4], [[0, 0, 1], [0, 2, 3], [1, 1, 4]]);
  it('is of a lot, or of all', () => {
    const one = distribution(h, byLot(h), 0)!;
    expect(one.bars).toEqual([
      { low: 0, high: 1, share: 0.25, density: 0.25 },
      { low: 2, high: 4, share: 0.75, density: 0.75 },
    ]);
    expect(one.marks.at(-1)).toEqual({ q: 1, value: 4 });
    const all = distribution(h, byLot(h), null)!;
    expect(all.total).toBe(8);
    expect(all.bars.map((b) => b.share)).toEqual([0.125, 0.5, 0.375]);
    expect(distribution(h, byLot(h), 7)).toBeNull();
  });

  it('says what is below', () => {
    const all = distribution(h, byLot(h), null)!;
    expect([0, 1, 1.5, 3, 9].map((v) => shareBelow(all, v))).toEqual([0, 0.125, 0.375, 0.8125, 1]);
  });
});

describe('several', () => {
  it('are added up where their bounds differ', () => {
    const sum = add([heat([1, 2, 4], [[0, 0, 1], [1, 1, 2]]), heat([2, 4, 8], [[0, 1, 5], [1, 0, 3]])])!;
    expect(sum.bounds).toEqual([1, 2, 4, 8]);
    expect([...sum.cells.lot].map((lot, i) => [lot, sum.cells.bucket[i], sum.cells.count[i]])).toEqual([[0, 0, 1], [1, 1, 5], [0, 2, 5]]);
    expect(sum.greatest).toBe(5);
    expect(add([])).toBeNull();
  });

  it('take bounds that hold theirs', () => {
    expect([...onBounds(heat([2, 4], [[0, 0, 1]]), [1, 2, 4]).cells.bucket]).toEqual([1]);
  });
});

describe('quantified', () => {
  it('finds the histogram', () => {
    expect(quantified('histogram_quantile($quantile, sum by (op, x) (rate(a{b=","}[$interval])))')).toBe('sum by (op, x) (rate(a{b=","}[$interval]))');
    expect(quantified(' histogram_quantile( 0.9 , rate(a[5s]) ) # why')).toBe('rate(a[5s])');
  });

  it('finds none in anything else', () => {
    for (const query of ['', 'rate(a[5s])', 'histogram_quantile(0.9, a) / 2', 'histogram_quantile(0.9', 'sum(histogram_quantile(0.9, a))', 'histogram_quantile(a)'])
      expect(quantified(query)).toBeNull();
  });

  it('goes from a chart to another and back', () => {
    const chart = { title: '', kind: 'line' as const, unit: '', queries: [{ query: 'histogram_quantile(0.5, a)', legend: 'x' }, { query: 'histogram_quantile(0.9, a)' }] };
    expect(histogramsOf(chart)).toEqual([{ query: 'a', legend: 'x' }]);
    expect(asQuantiles(chart, [{ query: 'a' }]).queries).toEqual([{ query: 'histogram_quantile($quantile, a)', legend: '' }]);
    expect(histogramsOf({ ...chart, queries: [{ query: 'a' }] })).toBeNull();
    expect(histogramsOf({ ...chart, kind: 'percentiles', queries: [{ query: 'a' }] })).toEqual([{ query: 'a', legend: '' }]);
  });
});
