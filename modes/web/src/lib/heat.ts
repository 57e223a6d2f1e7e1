/** Heat maps as pixels, for `ImageData`: RGBA, four bytes each, the top line first. Row 0 of the data is at the bottom. */

export type Color = (t: number) => [number, number, number];

/** What has a count at all is told from nothing. */
const FAINTEST = 0.08;

const ENTRIES = 256;

function table(color: Color): Uint8ClampedArray {
  const entries = new Uint8ClampedArray(3 * ENTRIES);
  for (let i = 0; i < ENTRIES; i++) entries.set(color(i / (ENTRIES - 1)), 3 * i);
  return entries;
}

function paint(pixels: Uint8ClampedArray, pixel: number, colors: Uint8ClampedArray, t: number): void {
  const entry = 3 * Math.round(Math.min(1, Math.max(0, t)) * (ENTRIES - 1));
  pixels[4 * pixel] = colors[entry]!;
  pixels[4 * pixel + 1] = colors[entry + 1]!;
  pixels[4 * pixel + 2] = colors[entry + 2]!;
  pixels[4 * pixel + 3] = 255;
}

/** The least and the greatest count that there is at all: of several, if they are to have the same colours. */
export function countsOf(counts: Float64Array[]): [number, number] {
  let [least, greatest] = [Infinity, 0];
  for (const all of counts)
    for (const count of all) {
      if (!(count > 0)) continue;
      if (count < least) least = count;
      if (count > greatest) greatest = count;
    }
  return [least, greatest];
}

/**
 * The cells of a histogram over time: `count[i]` values in bucket `bucket[i]` (row) of lot `lot[i]` (column), from `color(0)` for nearly
 * nothing to `color(1)` for the greatest count. Transparent where nothing is counted; cells outside are left out.
 */
export function raster(
  cells: { lot: Uint32Array; bucket: Uint32Array; count: Float64Array },
  columns: number,
  rows: number,
  color: Color,
  scale: 'log' | 'linear',
  [least, greatest] = countsOf([cells.count]),
): Uint8ClampedArray {
  const pixels = new Uint8ClampedArray(4 * columns * rows);
  const colors = table(color);
  const decades = Math.log(greatest / least);
  for (let i = 0; i < cells.count.length; i++) {
    const count = cells.count[i]!;
    const [column, row] = [cells.lot[i]!, cells.bucket[i]!];
    // The negation takes NaN too.
    if (!(count > 0) || !(column < columns) || !(row < rows)) continue;
    // With limits of others a count may lie outside them.
    const log = decades > 0 ? Math.log(count / least) / decades : 1;
    const t = scale === 'log' ? log : count / greatest;
    paint(pixels, (rows - 1 - row) * columns + column, colors, FAINTEST + (1 - FAINTEST) * t);
  }
  return pixels;
}

/**
 * A row of pixels for each of `values`, `min` as `color(0)` and `max` as `color(1)`, what is beyond as these. NaN, and what a
 * row is too short for, is transparent.
 */
export function matrixRaster(values: Float64Array[], columns: number, min: number, max: number, color: Color): Uint8ClampedArray {
  const pixels = new Uint8ClampedArray(4 * columns * values.length);
  const colors = table(color);
  const span = max - min;
  values.forEach((row, r) => {
    const first = (values.length - 1 - r) * columns;
    for (let i = 0; i < columns; i++) {
      const value = row[i] ?? NaN;
      if (!Number.isNaN(value)) paint(pixels, first + i, colors, span > 0 ? (value - min) / span : 0);
    }
  });
  return pixels;
}

/** Every `by` rows as one, of each column the value that is furthest from zero: one row among hundreds is still seen. */
export function furthest(rows: Float64Array[], by: number): Float64Array[] {
  if (by <= 1) return rows;
  const out: Float64Array[] = [];
  for (let first = 0; first < rows.length; first += by) {
    const kept = Float64Array.from(rows[first]!);
    for (const row of rows.slice(first + 1, first + by))
      row.forEach((value, i) => {
        // The negation takes a NaN that is there.
        if (!Number.isNaN(value) && !(Math.abs(kept[i]!) >= Math.abs(value))) kept[i] = value;
      });
    out.push(kept);
  }
  return out;
}
