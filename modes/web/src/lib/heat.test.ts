import { describe, expect, it } from 'vitest';
import { furthest, matrixRaster, raster } from './heat';

const gray = (t: number): [number, number, number] => [t * 255, t * 255, t * 255];
const cells = (...of: [number, number, number][]): Parameters<typeof raster>[0] => ({
  lot: Uint32Array.from(of, (c) => c[0]), bucket: Uint32Array.from(of, (c) => c[1]), count: Float64Array.from(of, (c) => c[2]),
});
const red = (pixels: Uint8ClampedArray): (number | null)[] =>
  Array.from({ length: pixels.length / 4 }, (_, i) => (pixels[4 * i + 3] === 0 ? null : pixels[4 * i]!));

describe('raster', () => {
  it('has row 0 at the bottom, and nothing where nothing is', () => {
    const pixels = red(raster(cells([0, 0, 10], [2, 1, 5]), 3, 2, gray, 'linear'));
    expect(pixels[3]).toBe(255);
    expect(pixels[2]).toBeGreaterThan(120);
    expect(pixels.filter((p) => p === null)).toHaveLength(4);
  });

  it('has a logarithmic scale', () => {
    const [a, b, c] = red(raster(cells([0, 0, 1], [1, 0, 100], [2, 0, 10000]), 3, 1, gray, 'log'));
    expect(c).toBe(255);
    expect(b! - a!).toBeCloseTo(c! - b!, -1);
    expect(a).toBeGreaterThan(0);
    expect(red(raster(cells([0, 0, 7]), 1, 1, gray, 'log'))).toEqual([255]);
  });

  it('leaves out what is no count or outside', () => {
    expect(red(raster(cells([0, 0, NaN], [0, 0, 0], [0, 0, -1], [5, 0, 1], [0, 5, 1]), 1, 1, gray, 'log'))).toEqual([null]);
    expect(raster(cells(), 0, 0, gray, 'linear')).toHaveLength(0);
  });
});

describe('matrixRaster', () => {
  it('has a row for each series, the first at the bottom', () => {
    const rows = [Float64Array.of(0, 50), Float64Array.of(NaN, 200)];
    expect(red(matrixRaster(rows, 3, 0, 100, gray))).toEqual([null, 255, null, 0, 128, null]);
  });

  it('takes a span of nothing', () => {
    expect(red(matrixRaster([Float64Array.of(5)], 1, 5, 5, gray))).toEqual([0]);
  });
});

describe('furthest', () => {
  it('keeps of neighbours what is furthest from zero', () => {
    const rows = [Float64Array.of(1, NaN, -1), Float64Array.of(0, NaN, -7), Float64Array.of(3, 2, NaN)];
    expect(furthest(rows, 2)).toEqual([Float64Array.of(1, NaN, -7), Float64Array.of(3, 2, NaN)]);
    expect(furthest(rows, 1)).toBe(rows);
    expect(rows[0]).toEqual(Float64Array.of(1, NaN, -1));
  });
});
