// From answers of the server to what a chart draws.
import type { Chart, Grid, HeatAnswer, Labels, RangeAnswer, SeriesData } from '../api/types';
import { difference as less, ratio } from './compare';
import { add, onBounds, quantileName, union } from './histogram';
import { distinguishing, legendText, only } from './legend';
import { REST } from './palette';
import { bounded, stack, type Total } from './stack';

export interface Line {
  key: string;
  label: string;
  labels: Labels;
  mean: Float64Array;
  least?: Float64Array;
  greatest?: Float64Array;
  /** 0 for A, 1 for B. */
  side: number;
  color: number;
}

export interface Lines extends Grid {
  kind: 'lines';
  lines: Line[];
  /** Of a stacked chart, by side, as the server added it up tick by tick. */
  totals?: (Total | null)[];
  warnings: string[];
  infos: string[];
}

export interface Heat extends Grid {
  kind: 'heat';
  bounds: number[];
  cells: HeatAnswer['cells'];
  greatest: number;
  /** B, on the time axis of A. */
  other?: Heat;
  warnings: string[];
  infos: string[];
}

export type Drawn = Lines | Heat;

export interface Part {
  legend: string;
  answer: RangeAnswer;
  side: number;
  /** Added to times of the answer to bring them onto the axis of A. */
  shift: number;
  /** Its series are these quantiles, as their labels say. */
  quantiles?: number[];
  /** The sum of its series, added up tick by tick. */
  total?: SeriesData;
}

/**
 * Joins the answers of a chart's queries. All but the first are put onto the grid of the first. Cgroups that are chosen
 * have the same colour in all charts.
 */
export function join(parts: Part[], cgroups: string[] = []): Drawn | null {
  const first = parts[0];
  if (!first) return null;
  const said = (of: (p: Part) => string[]) => [...new Set(parts.flatMap(of))];
  const notes = { warnings: said((p) => p.answer.warnings), infos: said((p) => p.answer.infos) };
  if (parts.some((p) => p.answer.kind === 'heatmap')) return heatsOf(parts, notes);
  const grid = gridOf(first);
  const lines: Line[] = [];
  const colors = new Map<string, number>();
  const colorOf = (key: string, labels: Labels) => {
    const chosen = cgroups.indexOf(labels.name ?? '');
    if (!colors.has(key)) colors.set(key, chosen >= 0 ? chosen : cgroups.length + colors.size);
    return colors.get(key)!;
  };
  const telling = tellingOf(parts);
  parts.forEach((part, at) => {
    if (part.answer.kind !== 'series') return;
    const own = gridOf(part);
    const query = parts.slice(0, at).filter((p) => p.side === part.side).length;
    for (const series of part.answer.series) {
      const names = telling[query]!;
      const key = `${part.legend} ${nameOf(only(series.labels, ['__name__', ...names]))}${query ? ` #${query}` : ''}`;
      const label = labelOf(part, series.labels, names);
      const put = (values?: Float64Array) => values && onto(values, own, grid);
      const line: Line = { key, label, labels: series.labels, mean: put(series.mean)!, side: part.side, color: colorOf(key, series.labels) };
      if (series.least && series.greatest) Object.assign(line, { least: put(series.least), greatest: put(series.greatest) });
      lines.push(line);
    }
  });
  const some = lines.filter((l) => l.mean.some((v) => !Number.isNaN(v)));
  const drawn = highest(some, MOST_LINES);
  if (drawn.length < some.length) notes.warnings.push(`${drawn.length} of ${some.length} series are drawn: those that go highest.`);
  return { ...grid, kind: 'lines', lines: drawn, ...notes };
}

/** More lines cannot be told apart, and take a browser seconds. */
const MOST_LINES = 1000;

/** Those with the greatest values, in the order they had. */
function highest(lines: Line[], most: number): Line[] {
  if (lines.length <= most) return lines;
  const top = (line: Line) => (line.greatest ?? line.mean).reduce((a, v) => (v > a ? v : a), -Infinity);
  const order = lines.map((line) => ({ line, top: top(line) })).sort((x, y) => y.top - x.top);
  const kept = new Set(order.slice(0, most).map((o) => o.line));
  return lines.filter((line) => kept.has(line));
}

/** What a series is called; of a quantile with its name, which stands for `$quantile` if the legend has that. */
function labelOf({ legend, quantiles }: Part, labels: Labels, telling: string[]): string {
  const { quantile, ...rest } = labels;
  if (!quantiles || quantile === undefined) return legend ? legendText(legend, labels) : nameOf(only(labels, ['__name__', ...telling]));
  const name = quantileName(+quantile);
  const others = only(rest, telling);
  const text = legend ? legendText(legend.replaceAll('$quantile', name), rest) : Object.keys(others).length ? nameOf(others) : '';
  return legend.includes('$quantile') ? text : `${text} ${name}`.trim();
}

/** For each query the labels that tell its series apart on a side: those of A and B are of different hosts, and the same series. */
function tellingOf(parts: Part[]): string[][] {
  const sides = [0, 1].map((side) => parts.filter((p) => p.side === side).map(({ answer }) => (answer.kind === 'series' ? answer.series : [])));
  const queries = Math.max(...sides.map((s) => s.length));
  return Array.from({ length: queries }, (_, query) => [
    ...new Set(sides.flatMap((all) => distinguishing((all[query] ?? []).map((s) => s.labels)))),
  ].filter((name) => name !== '__name__').sort());
}

/** All distributions of a side as one. What the other side lacks altogether is empty. */
function heatsOf(parts: Part[], notes: { warnings: string[]; infos: string[] }): Heat {
  const heat = (part: Part): Heat[] => {
    if (part.answer.kind !== 'heatmap') return [];
    const { bounds, cells, greatest } = part.answer;
    return [{ ...gridOf(part), kind: 'heat', bounds, cells, greatest, ...notes }];
  };
  const nothing = { lot: new Uint32Array(), bucket: new Uint32Array(), count: new Float64Array() };
  const empty: Heat = { ...gridOf(parts[0]!), kind: 'heat', bounds: [], cells: nothing, greatest: 0, ...notes };
  const [a, b] = [0, 1].map((side) => add(parts.filter((p) => p.side === side).flatMap(heat)) ?? empty) as [Heat, Heat];
  if (!parts.some((p) => p.side === 1)) return a;
  const bounds = union([a, b]);
  return { ...onBounds(a, bounds), other: onBounds(b, bounds) };
}

function gridOf({ answer, shift }: Part): Grid {
  const { start, step, count, per, interval } = answer;
  return { start: start + shift, step, count, per, interval };
}

/** Values of one grid at the lots of another: the nearest at or before, NaN outside. */
export function onto(values: Float64Array, from: Grid, to: Grid): Float64Array {
  const same = from.count === to.count && from.step === to.step && Math.abs(from.start - to.start) < from.step / 2;
  if (same) return values;
  const out = new Float64Array(to.count).fill(NaN);
  for (let i = 0; i < to.count; i++) {
    const at = Math.floor((to.start + i * to.step - from.start) / from.step + 1e-6);
    if (at >= 0 && at < values.length) out[i] = values[at]!;
  }
  return out;
}

/** The totals of sides, asked for by themselves, on the grid of what they belong to. */
export function withTotals(drawn: Lines, parts: Part[]): Lines {
  const totals: (Total | null)[] = [null, null];
  for (const part of parts) {
    if (part.answer.kind !== 'series') continue;
    const { mean, least = mean, greatest = mean } = part.answer.series[0] ?? { mean: new Float64Array() };
    const put = (values: Float64Array) => onto(values, gridOf(part), drawn);
    if (mean.length) totals[part.side] = { mean: put(mean), least: put(least), greatest: put(greatest), exact: true };
  }
  return { ...drawn, totals };
}

/**
 * The parts that are greatest in all, and the others as one of each side: more bands than that cannot be told apart. What is
 * chosen among the others is shown, so then all are.
 */
export function gathered(drawn: Lines, most: number, chosen: Set<string> | null): Lines {
  const sizes = new Map<string, number>();
  for (const { key, mean } of drawn.lines) {
    const size = mean.reduce((sum, v) => sum + (Math.abs(v) || 0), 0);
    sizes.set(key, Math.max(sizes.get(key) ?? 0, size));
  }
  const order = [...sizes].sort((a, b) => b[1] - a[1]).map(([key]) => key);
  const kept = new Set(order.slice(0, most));
  if (sizes.size <= most + 1 || [...(chosen ?? [])].some((key) => sizes.has(key) && !kept.has(key))) return drawn;
  const others = [0, 1].flatMap((side): Line[] => {
    const rest = drawn.lines.filter((l) => l.side === side && !kept.has(l.key));
    const sums = bounded(rest) ?? (rest.length ? { mean: stack(rest.map((l) => l.mean)).at(-1)! } : null);
    if (!sums) return [];
    const { mean, least, greatest } = { least: undefined, greatest: undefined, ...sums };
    const bounds = least && greatest ? { least, greatest } : {};
    return [{ key: OTHERS, label: `${sizes.size - most} others`, labels: {}, mean, ...bounds, side, color: REST }];
  });
  return { ...drawn, lines: [...drawn.lines.filter((l) => kept.has(l.key)), ...others] };
}

/** The key of the rest, which no series has. */
const OTHERS = ' others';

/** The total of the lines of a side that are shown: exact if it is of all, or of one, else what bounds it. */
export function totalOf(drawn: Lines, side: number, chosen: Set<string> | null): Total | null {
  const mine = drawn.lines.filter((l) => l.side === side);
  const shown = mine.filter((l) => !chosen || chosen.has(l.key));
  return (shown.length === mine.length && drawn.totals?.[side]) || bounded(shown);
}

/** `name{a="b"}`, or what stands for a name where there is none. */
function nameOf(labels: Labels): string {
  const rest = Object.entries(labels).filter(([k]) => k !== '__name__');
  const inner = rest.map(([k, v]) => `${k}="${v}"`).join(', ');
  const name = labels.__name__ ?? '';
  return inner ? `${name}{${inner}}` : name || 'value';
}

/** B minus A, or B over A, of lines that are on both sides. */
export function difference(drawn: Lines, byRatio: boolean): Lines {
  const a = new Map(drawn.lines.filter((l) => l.side === 0).map((l) => [l.key, l]));
  const lines = drawn.lines.flatMap((b): Line[] => {
    const other = a.get(b.key);
    if (b.side !== 1 || !other) return [];
    const mean = (byRatio ? ratio : less)(other.mean, b.mean);
    const { key, label, labels, color } = b;
    return [{ key, label, labels, color, side: 0, mean: mean.map((v) => (Number.isFinite(v) ? v : NaN)) }];
  });
  return { ...drawn, lines };
}

/** Index of the lot that holds a time; may lie outside. */
export const lotAt = (grid: Grid, time: number) => Math.floor((time - grid.start) / grid.step + 1e-9);

/** When each lot begins, in seconds. */
export const timesOf = (grid: Grid) => Array.from({ length: grid.count }, (_, i) => grid.start + i * grid.step);

/** Quantiles that are drawn as lines. */
const QUANTILES = [0.5, 0.9, 0.99, 0.999];

/** The queries a chart asks; of percentiles, with which quantiles the answer is to have. */
export function asked(chart: Chart): { query: string; legend: string; quantiles?: number[] }[] {
  const queries = chart.queries.map((q) => ({ ...q, legend: q.legend ?? '' }));
  return chart.kind === 'percentiles' ? queries.map((q) => ({ ...q, quantiles: QUANTILES })) : queries;
}
