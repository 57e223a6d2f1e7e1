/** Lots (API.md, `view/range`) as uPlot takes data: columns, with null as a gap. */

import { stack, type Total } from './stack';

/** Lot i begins at `start + i * step`, seconds, and stands for `per` evaluated steps. */
export interface Lots {
  start: number;
  step: number;
  count: number;
  per: number;
}

export interface Series {
  mean: Float64Array | number[];
  least?: Float64Array | number[];
  greatest?: Float64Array | number[];
}

/** Numbers as they came, where there is no gap among them: as many with nulls take several times the memory. */
export type Column = (number | null)[] | Float64Array;

export interface Bands {
  /** The mean of each series, then greatest and least of each that has them. */
  columns: Column[];
  /** For each series the indexes in `columns` of greatest and least, or null. */
  bands: ([number, number] | null)[];
}

/** NaN, and what is no number that can be drawn, as null; with `positive` also what has no place on a logarithmic axis. */
export function column(values: Float64Array | number[], count: number, positive = false): Column {
  const drawable = (value: number) => Number.isFinite(value) && (!positive || value > 0);
  if (values instanceof Float64Array && values.length === count && values.every(drawable)) return values;
  const out: (number | null)[] = [];
  for (let i = 0; i < count; i++) {
    const value = values[i] ?? NaN;
    out.push(drawable(value) ? value : null);
  }
  return out;
}

/** When a lot is: in the middle of the steps it stands for. */
export function lotTimes({ start, step, count, per }: Lots): number[] {
  const middle = ((Math.max(1, per) - 1) * step) / (2 * Math.max(1, per));
  return Array.from({ length: count }, (_, i) => start + i * step + middle);
}

/** A line for each series, and a band from least to greatest around it. */
export function bands(series: Series[], count: number, positive = false): Bands {
  const columns = series.map(({ mean }) => column(mean, count, positive));
  const pairs = series.map(({ least, greatest }): [number, number] | null => {
    if (!least || !greatest) return null;
    columns.push(column(greatest, count, positive), column(least, count, positive));
    return [columns.length - 2, columns.length - 1];
  });
  return { columns, bands: pairs };
}

export interface Stacked {
  /** The top of each part, then, if it is known, the greatest of the total. */
  columns: Column[];
  peak: number | null;
}

/** Means one on top of the other, and over them as a line how far the total went: a spike of one tick is not averaged away. */
export function stacked(means: Float64Array[], total: Total | null, count: number): Stacked {
  const columns = stack(means).map((top) => column(top, count));
  if (!total || !columns.length) return { columns, peak: null };
  columns.push(column(total.greatest, count));
  return { columns, peak: columns.length - 1 };
}

/** Indexes of values with gaps on both sides: no line goes through them, so they want a dot. */
export function isolated(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  const none = (i: number) => (values[i] ?? null) === null;
  for (let i = 0; i < values.length; i++) if (!none(i) && none(i - 1) && none(i + 1)) found.push(i);
  return found;
}

/** Least and greatest of all that is drawn; null if nothing is. */
export function extent(columns: Column[]): [number, number] | null {
  let [least, greatest] = [Infinity, -Infinity];
  for (const values of columns) {
    for (const value of values) {
      if (value === null) continue;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  return least <= greatest ? [least, greatest] : null;
}
