/** A against B. Where a direction matters, it is from A to B: what rose has a positive difference and a ratio above 1. */

export interface Span {
  start: number;
  end: number;
}

/** Seconds to add to B's times to lay it over A: starts together, ends together, or as it is; and `offset` more. */
export function align(a: Span, b: Span, mode: 'start' | 'end' | 'none', offset: number): number {
  const base = mode === 'start' ? a.start - b.start : mode === 'end' ? a.end - b.end : 0;
  return base + offset;
}

function each(a: ArrayLike<number>, b: ArrayLike<number>, of: (x: number, y: number) => number): Float64Array {
  const result = new Float64Array(Math.max(a.length, b.length));
  for (let i = 0; i < result.length; i++) result[i] = of(a[i] ?? NaN, b[i] ?? NaN);
  return result;
}

/** B less A; NaN where one of them is absent. As long as the longer. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  return each(a, b, (x, y) => y - x);
}

/** B by A; NaN where one of them is absent or both are 0, infinite where only A is 0. As long as the longer. */
export function ratio(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  return each(a, b, (x, y) => y / x);
}

export interface Change {
  name: string;
  meanA: number;
  meanB: number;
  /** `meanB / meanA`. */
  ratio: number;
  /** How many of its usual deviations the median moved; 0 if there is nothing to compare. */
  score: number;
}

/** Standard deviation of normal values for each of median absolute deviation. */
const MAD_TO_SIGMA = 1.4826;

/** Noise that everything is taken to have, as a part of its size: what is constant would differ infinitely otherwise. */
const LEAST_NOISE = 0.01;

function finite(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).filter(Number.isFinite).sort();
}

function median(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function deviation(sorted: Float64Array, center: number): number {
  return MAD_TO_SIGMA * median(sorted.map((value) => Math.abs(value - center)).sort());
}

function mean(values: Float64Array): number {
  return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function score(a: Float64Array, b: Float64Array, meanA: number, meanB: number): number {
  if (a.length === 0 || b.length === 0) return 0;
  const [centerA, centerB] = [median(a), median(b)];
  const size = Math.max(Math.abs(centerA), Math.abs(centerB));
  const noise = Math.max(deviation(a, centerA), deviation(b, centerB), LEAST_NOISE * size);
  if (centerA !== centerB) return Math.abs(centerB - centerA) / noise;
  // What is mostly the same, as rare events are: less than any change of the median beyond noise, but not nothing.
  const part = Math.abs(meanB - meanA) / Math.max(Math.abs(meanA), Math.abs(meanB));
  return Number.isFinite(part) ? Math.min(1, part) : 0;
}

/**
 * What differs most first. By medians and their absolute deviations, so that one spike makes no difference, and large units do
 * not go before small ones. What has values on one side only comes last, with NaN as the other mean.
 */
export function rankChanges(items: { name: string; a: ArrayLike<number>; b: ArrayLike<number> }[]): Change[] {
  const changes = items.map(({ name, a, b }): Change => {
    const [valuesA, valuesB] = [finite(a), finite(b)];
    const [meanA, meanB] = [mean(valuesA), mean(valuesB)];
    return { name, meanA, meanB, ratio: meanB / meanA, score: score(valuesA, valuesB, meanA, meanB) };
  });
  return changes.sort((x, y) => y.score - x.score || (x.name < y.name ? -1 : x.name > y.name ? 1 : 0));
}
