/** Lots (docs/viewer-api.md, `view/range`) as uPlot takes data: columns, with null as a gap. */

export interface Lots {
  /** When lot 0 begins, seconds. */
  start: number;
  /** Seconds from lot to lot. */
  step: number;
  count: number;
  /** How many evaluated steps are in a lot. */
  per: number;
  series: { mean: ArrayLike<number>; least?: ArrayLike<number>; greatest?: ArrayLike<number> }[];
}

export type Column = (number | null)[];

export interface Bands {
  /** Times, then the mean of each series, then greatest and least of each that has them. */
  data: [number[], ...Column[]];
  /** For each series the indexes in `data` of greatest and least, as uPlot's `bands` want them, or null. */
  bands: ([number, number] | null)[];
}

/** NaN, and what is no number that can be drawn, as null. */
export function column(values: ArrayLike<number>, count: number): Column {
  return Array.from({ length: count }, (_, i) => (Number.isFinite(values[i]) ? values[i]! : null));
}

/** When a lot is: in the middle of the steps it stands for. */
export function lotTimes({ start, step, count, per }: Pick<Lots, 'start' | 'step' | 'count' | 'per'>): number[] {
  const middle = ((Math.max(1, per) - 1) * step) / (2 * Math.max(1, per));
  return Array.from({ length: count }, (_, i) => start + i * step + middle);
}

/** The columns of a chart with a line for each series, and a band from least to greatest around it. */
export function bands(lots: Lots): Bands {
  const { count, series } = lots;
  const data: Bands['data'] = [lotTimes(lots), ...series.map(({ mean }) => column(mean, count))];
  const pairs = series.map(({ least, greatest }): [number, number] | null => {
    if (!least || !greatest) return null;
    data.push(column(greatest, count), column(least, count));
    return [data.length - 2, data.length - 1];
  });
  return { data, bands: pairs };
}

/** Indexes of values with gaps on both sides: no line goes through them, so they want a dot. */
export function isolated(values: Column): number[] {
  const found: number[] = [];
  values.forEach((value, i) => {
    if (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) found.push(i);
  });
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
