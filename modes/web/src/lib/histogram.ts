/** Distributions over time: what is computed from the cells of a heatmap, and which charts have one. */

import type { Chart, Query } from '../api/types';
import type { Heat } from './drawn';
import { tokens } from './promql/tokens';

/** A bucket with its count. */
export type Counted = [bucket: number, count: number];

const known = new WeakMap<Heat['cells'], Map<number, Counted[]>>();

/** The buckets of each lot that has any, in their order. Found once for the same cells: the pointer asks at every move. */
export function byLot({ cells }: Heat): Map<number, Counted[]> {
  const found = known.get(cells);
  if (found) return found;
  const lots = new Map<number, Counted[]>();
  known.set(cells, lots);
  for (let i = 0; i < cells.lot.length; i++) {
    if (!(cells.count[i]! > 0)) continue;
    const list = lots.get(cells.lot[i]!);
    if (list) list.push([cells.bucket[i]!, cells.count[i]!]);
    else lots.set(cells.lot[i]!, [[cells.bucket[i]!, cells.count[i]!]]);
  }
  for (const list of lots.values()) list.sort((x, y) => x[0] - y[0]);
  return lots;
}

/** Quantiles (ascending) of one lot, by linear interpolation within a bucket as PromQL does it. */
export function quantilesOf(list: Counted[], bounds: number[], qs: ArrayLike<number>): Float64Array {
  const out = new Float64Array(qs.length).fill(NaN);
  const total = list.reduce((sum, [, n]) => sum + n, 0);
  let before = 0;
  let k = 0;
  list.forEach(([bucket, n], i) => {
    const last = i === list.length - 1;
    const [low, high] = [bounds[bucket]!, bounds[bucket + 1]!];
    // Of the last bucket also what rounding takes beyond it.
    for (; k < qs.length && (last || before + n >= qs[k]! * total); k++)
      out[k] = low + (high - low) * Math.min(1, Math.max(0, (qs[k]! * total - before) / n));
    before += n;
  });
  return out;
}

/** Quantiles of each lot: a list for each q. */
export function quantiles(heat: Heat, qs: number[]): Float64Array[] {
  const out = qs.map(() => new Float64Array(heat.count).fill(NaN));
  for (const [lot, list] of byLot(heat)) quantilesOf(list, heat.bounds, qs).forEach((value, k) => (out[k]![lot] = value));
  return out;
}

/** How far up the tail a spectrum goes, in nines: 4 is 99.99 %. */
export const NINES = 4;

/** Where a quantile is on an axis that gives each further nine of the tail the same room, from 0 to 1. */
export const placeOf = (q: number) => Math.min(1, -Math.log10(1 - Math.min(q, 1 - 1e-12)) / NINES);

/** The quantile at a place of that axis. */
export const quantileAt = (place: number) => 1 - 10 ** (-place * NINES);

/** The values of `rows` quantiles of each lot, the lowest first. */
export function spectrum(heat: Heat, rows: number): Float64Array[] {
  return quantiles(heat, Array.from({ length: rows }, (_, row) => quantileAt((row + 0.5) / rows)));
}

/** What is marked of a distribution; 1 is its greatest. */
export const MARKED = [0.5, 0.9, 0.99, 0.999, 1];

export const quantileName = (q: number) => (q === 1 ? 'max' : `p${+(q * 100).toFixed(3)}`);

export interface Bar {
  low: number;
  high: number;
  /** Of all that was counted, 0 to 1. */
  share: number;
  /** Share for each doubling of the value: on a logarithmic axis equal areas are equal shares, however wide buckets are. */
  density: number;
}

export interface Distribution {
  bars: Bar[];
  total: number;
  marks: { q: number; value: number }[];
}

/** The distribution of a lot, or of all of them added up; null if nothing was counted. */
export function distribution(heat: Heat, lots: Map<number, Counted[]>, lot: number | null): Distribution | null {
  const list = lot === null ? added(lots) : lots.get(lot);
  if (!list?.length) return null;
  const { bounds } = heat;
  const total = list.reduce((sum, [, n]) => sum + n, 0);
  const bars = list.map(([bucket, n]): Bar => {
    const [low, high] = [bounds[bucket]!, bounds[bucket + 1]!];
    return { low, high, share: n / total, density: n / total / Math.log2(high / (low > 0 ? low : high / 2)) };
  });
  const values = quantilesOf(list, bounds, MARKED);
  return { bars, total, marks: MARKED.map((q, k) => ({ q, value: values[k]! })) };
}

function added(lots: Map<number, Counted[]>): Counted[] {
  const sums = new Map<number, number>();
  for (const list of lots.values()) for (const [bucket, n] of list) sums.set(bucket, (sums.get(bucket) ?? 0) + n);
  return [...sums].sort((x, y) => x[0] - y[0]);
}

/** Share of a distribution at or below a value, linear within a bar. */
export function shareBelow({ bars }: Distribution, value: number): number {
  return bars.reduce((sum, { low, high, share }) => sum + share * Math.min(1, Math.max(0, (value - low) / (high - low))), 0);
}

/** Heatmaps of several queries as one, on the grid of the first; null if there is none. */
export function add(heats: Heat[]): Heat | null {
  const [first] = heats;
  if (!first || heats.length === 1) return first ?? null;
  const bounds = union(heats);
  const sums = new Map<string, [number, number, number]>();
  for (const heat of heats.map((h) => onBounds(h, bounds)))
    heat.cells.lot.forEach((own, i) => {
      const lot = Math.round((heat.start + own * heat.step - first.start) / first.step);
      if (lot < 0 || lot >= first.count) return;
      const key = `${lot} ${heat.cells.bucket[i]}`;
      const cell = sums.get(key) ?? [lot, heat.cells.bucket[i]!, 0];
      cell[2] += heat.cells.count[i]!;
      sums.set(key, cell);
    });
  const all = [...sums.values()];
  const cells = {
    lot: Uint32Array.from(all, (c) => c[0]),
    bucket: Uint32Array.from(all, (c) => c[1]),
    count: Float64Array.from(all, (c) => c[2]),
  };
  return { ...first, bounds, cells, greatest: cells.count.reduce((a, n) => Math.max(a, n), 0) };
}

/** All bounds of these, ascending. Those that the server left out as empty at the ends of one may be within another. */
export const union = (heats: Heat[]) => [...new Set(heats.flatMap((h) => h.bounds))].sort((a, b) => a - b);

/** The same with bounds that hold all of its own. */
export function onBounds(heat: Heat, bounds: number[]): Heat {
  if (heat.bounds === bounds) return heat;
  const at = new Map(bounds.map((bound, i) => [bound, i]));
  const moved = heat.bounds.map((bound) => at.get(bound) ?? 0);
  return { ...heat, bounds, cells: { ...heat.cells, bucket: heat.cells.bucket.map((b) => moved[b]!) } };
}

/** The histogram whose quantile a query is, if it is one: `x` of `histogram_quantile(0.9, x)`. */
export function quantified(query: string): string | null {
  const all = tokens(query).filter((t) => t.kind !== 'comment');
  const text = (i: number) => (all[i] ? query.slice(all[i].from, all[i].to) : '');
  if (text(0) !== 'histogram_quantile' || text(1) !== '(') return null;
  let depth = 0;
  let comma = -1;
  for (let i = 1; i < all.length; i++) {
    if ('([{'.includes(text(i))) depth++;
    else if (')]}'.includes(text(i)) && --depth === 0) {
      return i === all.length - 1 && comma > 0 ? query.slice(all[comma]!.to, all[i]!.from).trim() : null;
    } else if (text(i) === ',' && depth === 1 && comma < 0) comma = i;
  }
  return null;
}

/** The histograms that all queries of a chart are quantiles of, or null. */
export function histogramsOf(chart: Chart): Query[] | null {
  // Of percentiles the histogram alone may be named.
  const bare = (query: string) => (chart.kind === 'percentiles' && !query.includes('$quantile') ? query : null);
  const found = chart.queries.map(({ query, legend }) => ({ query: quantified(query) ?? bare(query), legend: legend ?? '' }));
  if (!found.length || found.some((q) => q.query === null)) return null;
  // A chart may draw several quantiles of one histogram.
  const seen = new Set<string>();
  return (found as Query[]).filter(({ query }) => !seen.has(query) && seen.add(query));
}

/** The chart with lines of quantiles of the same histograms. */
export function asQuantiles(chart: Chart, histograms: Query[]): Chart {
  const queries = histograms.map(({ query, legend }) => ({ query: `histogram_quantile($quantile, ${query})`, legend: legend ?? '' }));
  return { ...chart, kind: 'percentiles', queries };
}
