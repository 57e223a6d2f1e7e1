// What a heat plot shows: rows of pixels over time, and what is said beside them.
import type { Grid } from '../api/types';
import type { Heat, Line, Lines } from '../lib/drawn';
import { countsOf, furthest, matrixRaster, raster } from '../lib/heat';
import { placeOf, quantileName, quantiles, spectrum } from '../lib/histogram';
import { diffColor, heatColor } from '../lib/palette';
import { formatValue } from '../lib/units';

export interface Picture {
  grid: Grid;
  pixels: Uint8ClampedArray;
  /** Of pixels; a column is a lot. */
  lines: number;
  /** Beside the axis, `at` from 0 (bottom) to 1, ascending. */
  ticks: { at: number; label: string }[];
  /** Lines over the picture, from 0 to 1, NaN a gap, with names of colours of the style sheet. */
  over: { values: Float64Array; color: string }[];
}

export const OVER = [
  { q: 0.5, color: '--over-low' },
  { q: 0.99, color: '--over-high' },
];

/** Lowest first on the vertical axis: of lines by number where labels are numbers. */
export function rowsOf(drawn: Lines): Line[] {
  return [...drawn.lines].sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true }));
}

/** What colours of rows stand for. */
export interface Scale {
  low: number;
  high: number;
  /** Middle is nothing: of differences, and of ratios by their logarithm. */
  diverging?: 'difference' | 'ratio';
}

/** The colour of a share, 0 to 1, of a scale. */
export const colorOf = ({ diverging }: Scale, dark: boolean) => (t: number) => (diverging ? diffColor(2 * t - 1, dark) : heatColor(t, dark));

/** A row for each line; of a lot its greatest, so that a spike is seen. Neighbours share a row where there are more than `height` pixels. */
export function rowsPicture(drawn: Lines, scale: Scale, dark: boolean, height: number): Picture {
  const lines = rowsOf(drawn);
  const values = furthest(
    lines.map((l) => (scale.diverging === 'ratio' ? l.mean.map(Math.log2) : (l.greatest ?? l.mean))),
    Math.ceil(lines.length / Math.max(1, height)),
  );
  const pixels = matrixRaster(values, drawn.count, scale.low, scale.high, colorOf(scale, dark));
  const by = Math.ceil(lines.length / Math.max(1, values.length));
  const ticks = values.map((_, row) => ({ at: (row + 0.5) / values.length, label: lines[row * by]!.label }));
  return { grid: drawn, pixels, lines: values.length, ticks, over: [] };
}

/** A scale that holds all that is drawn. */
export function scaleOf(lines: Line[], unit: string, diverging?: Scale['diverging']): Scale {
  let high = 0;
  const of = diverging === 'ratio' ? (v: number) => Math.abs(Math.log2(v)) : diverging ? Math.abs : (v: number) => v;
  for (const line of lines) for (const v of line.greatest ?? line.mean) if (of(v) > high && of(v) < Infinity) high = of(v);
  if (diverging) return { low: -(high || 1), high: high || 1, diverging };
  return { low: 0, high: unit === 'percent' && high > 50 ? 100 : high || 1 };
}

/** A row for each bucket, in the colour of its count, and quantiles over it. Two have the same colours for the same counts. */
export function heatPicture(heat: Heat, unit: string, dark: boolean, height: number, beside: Heat | undefined): Picture {
  const rows = Math.max(1, heat.bounds.length - 1);
  const fits = Math.max(1, Math.ceil(rows / Math.max(1, height)));
  const lines = Math.ceil(rows / fits);
  const [cells, others] = [thinned(heat, fits), beside && thinned(beside, fits)];
  const counts = countsOf(others ? [cells.count, others.count] : [cells.count]);
  const pixels = raster(cells, heat.count, lines, (t) => heatColor(t, dark), 'log', counts);
  // Rows of pixels may be a little more than the buckets are.
  const whole = lines * fits;
  const ticks = heat.bounds.slice(0, -1).map((bound, row) => ({ at: (row + 0.5) / whole, label: formatValue(bound, unit) }));
  const lists = quantiles(heat, OVER.map((o) => o.q));
  const over = lists.map((values, k) => ({ values: values.map((v) => rowOf(heat.bounds, v) / whole), color: OVER[k]!.color }));
  return { grid: heat, pixels, lines, ticks, over };
}

const QUANTILES = [0, 0.5, 0.9, 0.99, 0.999, 0.9999];
const SPECTRUM_LINES = 120;

/** A row for each quantile, further nines with the same room, in the colour of its value. */
export function spectrumPicture(heat: Heat, dark: boolean, [low, high]: [number, number]): Picture {
  const logs = spectrum(heat, SPECTRUM_LINES).map((values) => values.map((v) => Math.log(Math.max(v, low))));
  const pixels = matrixRaster(logs, heat.count, Math.log(low), Math.log(high), (t) => heatColor(t, dark));
  const ticks = QUANTILES.map((q) => ({ at: placeOf(q), label: q ? quantileName(q) : '0 %' }));
  return { grid: heat, pixels, lines: SPECTRUM_LINES, ticks, over: [] };
}

/** The values a logarithmic scale for these must hold; below the first bound above zero nothing is told apart. */
export function valuesOf(heats: Heat[]): [number, number] {
  let [low, high] = [Infinity, 0];
  for (const { bounds, cells } of heats)
    for (const bucket of cells.bucket) {
      const [from, to] = [bounds[bucket]!, bounds[bucket + 1]!];
      low = Math.min(low, from > 0 ? from : to / 2);
      high = Math.max(high, to);
    }
  return low < high ? [low, high] : [1, 10];
}

/** Cells with `by` neighbouring buckets added up, where there are more buckets than pixels. */
function thinned({ cells, count: columns }: Heat, by: number): Heat['cells'] {
  if (by === 1) return cells;
  const sums = new Map<number, number>();
  cells.lot.forEach((lot, i) => {
    const at = Math.floor(cells.bucket[i]! / by) * columns + lot;
    sums.set(at, (sums.get(at) ?? 0) + cells.count[i]!);
  });
  const places = [...sums.keys()];
  return {
    lot: Uint32Array.from(places, (at) => at % columns),
    bucket: Uint32Array.from(places, (at) => Math.floor(at / columns)),
    count: Float64Array.from(sums.values()),
  };
}

/** Where a value lies among bounds, in rows from the bottom. */
function rowOf(bounds: number[], value: number): number {
  if (Number.isNaN(value)) return NaN;
  let low = 0;
  let high = bounds.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! <= value) low = middle;
    else high = middle;
  }
  const width = bounds[low + 1]! - bounds[low]!;
  return low + (width > 0 ? Math.min(1, Math.max(0, (value - bounds[low]!) / width)) : 0);
}
