/** A chart in words and numbers, for those who do not see it. */

import type { Drawn, Heat } from './drawn';
import { MARKED, quantileName, quantiles } from './histogram';
import { formatValue } from './units';

export interface Numbers {
  label: string;
  side: number;
  least: number;
  mean: number;
  greatest: number;
  last: number;
}

/** What a line goes through; NaN if it has no value. */
export function numbersOf(mean: Float64Array, least = mean, greatest = mean): Omit<Numbers, 'label' | 'side'> {
  const out = { least: NaN, mean: NaN, greatest: NaN, last: NaN };
  let sum = 0;
  let count = 0;
  mean.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    sum += value;
    count++;
    out.last = value;
    if (!(least[i]! >= out.least)) out.least = least[i]!;
    if (!(greatest[i]! <= out.greatest)) out.greatest = greatest[i]!;
  });
  if (count) out.mean = sum / count;
  return out;
}

/** A row for each line, or for each quantile of a distribution over time. */
export function tabled(drawn: Drawn): Numbers[] {
  if (drawn.kind === 'lines') return drawn.lines.map((l) => ({ label: l.label, side: l.side, ...numbersOf(l.mean, l.least, l.greatest) }));
  const of = (heat: Heat, side: number) =>
    quantiles(heat, MARKED).map((values, k) => ({ label: quantileName(MARKED[k]!), side, ...numbersOf(values) }));
  return [...of(drawn, 0), ...(drawn.other ? of(drawn.other, 1) : [])];
}

const MOST = 6;

/** Least, mean, greatest and last of the series; of many, of those that are greatest. */
export function summary(title: string, drawn: Drawn, unit: string, names: string[] = []): string {
  const rows = tabled(drawn).filter((row) => !Number.isNaN(row.mean));
  if (!rows.length) return `${title}: no value`;
  const shown = drawn.kind === 'lines' ? [...rows].sort((a, b) => b.greatest - a.greatest).slice(0, MOST) : rows;
  const two = rows.some((row) => row.side);
  const text = shown.map(({ label, side, least, mean, greatest, last }) => {
    const [low, middle, high, now] = [least, mean, greatest, last].map((v) => formatValue(v, unit));
    return `${label}${two && names[side] ? ` of ${names[side]}` : ''} min ${low}, mean ${middle}, max ${high}, last ${now}`;
  });
  const more = rows.length - shown.length;
  return `${title}: ${text.join('; ')}${more ? `; and ${more} more` : ''}`;
}
