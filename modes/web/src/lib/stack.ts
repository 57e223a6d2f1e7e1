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
