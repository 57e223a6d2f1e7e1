/** A against B. Where a direction matters, it is from A to B: what rose has a positive difference and a ratio above 1. */

import type { Difference, TimedEvent } from '../api/types';
import { quote } from './legend';

export interface Span {
  start: number;
  end: number;
}

/** Seconds to add to a time of A for the time of B that is laid over it: starts together, ends together, or by the clock. */
export function offsetOf(a: Span, b: Span, by: 'start' | 'end' | 'clock'): number {
  return by === 'start' ? b.start - a.start : by === 'end' ? b.end - a.end : 0;
}

export interface Pair {
  a: TimedEvent;
  b: TimedEvent;
}

/** Events that happened to both, the first of a description with the first, and so on; in the order of A. */
export function shared(a: TimedEvent[], b: TimedEvent[]): Pair[] {
  const rest = [...b].sort((x, y) => x.timestamp - y.timestamp);
  return [...a].sort((x, y) => x.timestamp - y.timestamp).flatMap((event): Pair[] => {
    const at = rest.findIndex((other) => other.description === event.description);
    return at < 0 ? [] : [{ a: event, b: rest.splice(at, 1)[0]! }];
  });
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

/** Of those that can be put in order by their ratio; those that came from or went to nothing; those that one side has not. */
export type Sort = 'both' | 'zero' | 'alone';

export interface Ranked extends Difference {
  sort: Sort;
  /** B by A; NaN unless both are of one sign. */
  ratio: number;
  /** B less A; NaN where one is absent. */
  change: number;
  /** |log2 ratio|: halved is as far as doubled. */
  weight: number;
}

const SORTS: Sort[] = ['both', 'zero', 'alone'];

/** What differs most first: of those with a ratio by it, then what has none. */
export function rank(rows: Difference[]): Ranked[] {
  const ranked = rows.map((row): Ranked => {
    const { a, b } = row;
    const change = a === null || b === null ? NaN : b - a;
    const same = a !== null && b !== null && (a * b > 0 || a === b);
    const by = same && a !== 0 ? b! / a! : NaN;
    const sort: Sort = a === null || b === null ? 'alone' : same ? 'both' : 'zero';
    return { ...row, sort, ratio: by, change, weight: Number.isNaN(by) ? 0 : Math.abs(Math.log2(by)) };
  });
  return ranked.sort((x, y) => SORTS.indexOf(x.sort) - SORTS.indexOf(y.sort) || y.weight - x.weight || nameOf(x).localeCompare(nameOf(y)));
}

/** The metric with its labels, as PromQL writes it. */
export function nameOf({ metric, labels }: Pick<Difference, 'metric' | 'labels'>): string {
  const pairs = Object.entries(labels).sort().map(([key, value]) => `${key}=${quote(value)}`);
  const plain = /^[a-zA-Z_:][\w:]*$/.test(metric);
  if (!plain) pairs.unshift(`__name__=${quote(metric)}`);
  return `${plain ? metric : ''}${pairs.length ? `{${pairs.join(', ')}}` : ''}`;
}

/** A query for a row over time: what else tells its series apart is added up, as the row is. */
export function queryOf(row: Pick<Difference, 'metric' | 'labels' | 'of'>): string {
  const name = nameOf(row);
  if (row.of === 'rate') return `sum(rate(${name}[$interval]))`;
  if (row.of === 'p99') return `histogram_quantile(0.99, sum(rate(${name}[$interval])))`;
  return `avg(${name})`;
}
