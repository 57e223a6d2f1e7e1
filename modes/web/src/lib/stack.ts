/** Parts of a whole, one on top of the other. */

/**
 * For each series the sum of it and all before it. A NaN adds nothing, so that one series that ends does not take the
 * others with it; where all are NaN there is a gap. Shorter series are as if they went on with NaN.
 */
export function stack(series: Float64Array[]): Float64Array[] {
  const length = Math.max(0, ...series.map((values) => values.length));
  const some = new Uint8Array(length);
  for (const values of series) values.forEach((value, i) => { if (!Number.isNaN(value)) some[i] = 1; });
  let below = new Float64Array(length).map((_, i) => (some[i] ? 0 : NaN));
  return series.map((values) => {
    below = below.map((sum, i) => sum + (values[i] || 0));
    return below;
  });
}

export interface Parts {
  mean: Float64Array;
  least?: Float64Array;
  greatest?: Float64Array;
}

export interface Total {
  mean: Float64Array;
  least: Float64Array;
  greatest: Float64Array;
  /** False: the parts may have been greatest at different ticks, so the total's greatest is this at most, its least this at least. */
  exact: boolean;
}

/** What is known of the total of parts from the parts alone; null where lots are single ticks, whose total is the stack's top. */
export function bounded(parts: Parts[]): Total | null {
  if (!parts.some((p) => p.least && p.greatest)) return null;
  const sum = (of: (p: Parts) => Float64Array) => stack(parts.map(of)).at(-1)!;
  return {
    mean: sum((p) => p.mean),
    least: sum((p) => p.least ?? p.mean),
    greatest: sum((p) => p.greatest ?? p.mean),
    exact: parts.length === 1,
  };
}

/** A query for the total of what these give: its greatest is that of one tick, which a sum of greatest values is not. */
export function totalQuery(queries: string[]): string {
  // A comment at the end would take the bracket with it.
  const sums = queries.map((query) => `sum(${query}${query.includes('#') ? '\n' : ''})`);
  return sums.length === 1 ? sums[0]! : sums.map((sum) => `(${sum} or vector(0))`).join(' + ');
}
