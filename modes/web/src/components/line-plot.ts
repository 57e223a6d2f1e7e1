import uPlot from 'uplot';
import type { Line, Lines } from '../lib/drawn';
import { timesOf } from '../lib/drawn';
import { seriesColor } from '../lib/palette';
import { axisTicks, formatValue } from '../lib/units';
import type { Range } from '../state/view';
import { css, FONT, ROOM, ticksOf } from './frame';

export interface LineOptions {
  width: number;
  height: number;
  unit: string;
  stacked: boolean;
  log: boolean;
  dark: boolean;
  /** Keys of lines that are drawn; null: all. */
  only: Set<string> | null;
}

type Column = (number | null)[];

const column = (values: Float64Array): Column => Array.from(values, (v) => (Number.isNaN(v) ? null : v));

/** Lines and their envelopes, drawn by uPlot. The pointer is the frame's business. */
export class LinePlot {
  private readonly plot: uPlot;
  private range: Range;

  constructor(
    host: HTMLElement,
    drawn: Lines,
    private readonly options: LineOptions,
    range: Range,
  ) {
    this.range = range;
    const lines = drawn.lines.filter((l) => !options.only || options.only.has(l.key));
    const built = options.stacked ? stack(lines, options.dark) : plain(lines, options);
    const data = [timesOf(drawn), ...built.columns] as uPlot.AlignedData;
    const limits = extremes(built.columns, options);
    this.plot = new uPlot(this.describe(built, limits), data, host);
  }

  private describe(built: Built, limits: [number, number]): uPlot.Options {
    const { width, height, unit, log } = this.options;
    const stroke = css('--muted');
    const grid = { stroke: css('--grid'), width: 1 };
    const count = Math.max(2, Math.floor((height - 30) / 34));
    const axis = { stroke, grid, font: FONT, ticks: { show: false } };
    const label = (ticks: { value: number; label: string }[]) => (_: uPlot, splits: number[]) =>
      splits.map((s) => ticks.find((t) => t.value === s)?.label ?? '');
    const y = axisTicks(limits[0], limits[1], unit, count);
    const x = () => ticksOf(this.range, width);
    const powers = () => powersWithin(limits, baseOf(unit));
    const logTicks = { splits: powers, filter: (_: uPlot, s: number[]) => s, values: (_: uPlot, s: number[]) => s.map((v) => formatValue(v, unit)) };
    return {
      width,
      height,
      padding: [ROOM.top, ROOM.right, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => [this.range.start, this.range.end] },
        y: { distr: log ? 3 : 1, range: () => limits },
      },
      series: [{}, ...built.series],
      bands: built.bands,
      axes: [
        { ...axis, size: ROOM.bottom, gap: 4, splits: () => x().map((t) => t.value), values: (u, s) => label(x())(u, s) },
        { ...axis, size: ROOM.left, gap: 6, ...(log ? logTicks : { splits: () => y.map((t) => t.value), values: label(y) }) },
      ],
    };
  }

  /** Shows another span of the data there are. */
  show(range: Range) {
    this.range = range;
    this.plot.setScale('x', { min: range.start, max: range.end });
  }

  get canvas() {
    return this.plot.ctx.canvas;
  }

  destroy() {
    this.plot.destroy();
  }
}

interface Built {
  columns: Column[];
  series: uPlot.Series[];
  bands: uPlot.Band[];
}

function plain(lines: Line[], { dark, log }: LineOptions): Built {
  // Nothing of zero or less has a place on a logarithmic axis.
  const column = (values: Float64Array): Column => Array.from(values, (v) => (Number.isNaN(v) || (log && v <= 0) ? null : v));
  const built: Built = { columns: [], series: [], bands: [] };
  for (const line of lines) {
    const color = seriesColor(line.color, dark);
    const points = { show: false, size: 3, fill: color, stroke: color, width: 0, filter: isolated };
    built.columns.push(column(line.mean));
    built.series.push({ stroke: color, width: 1.25, points, ...(line.side ? { dash: [5, 3] } : {}) });
    if (!line.least || !line.greatest) continue;
    // The envelope is two invisible lines with the space between them filled.
    built.columns.push(column(line.greatest), column(line.least));
    const at = built.columns.length;
    built.series.push({ width: 0, points: { show: false } }, { width: 0, points: { show: false } });
    built.bands.push({ series: [at - 1, at], fill: `${color}38` });
  }
  return built;
}

/** A sample between two gaps is a point: a line would not show it. */
function isolated(u: uPlot, index: number): number[] | null {
  const data = u.data[index]!;
  const out: number[] = [];
  for (let i = 0; i < data.length; i++) if (data[i] != null && data[i - 1] == null && data[i + 1] == null) out.push(i);
  return out.length ? out : null;
}

/** Each line on top of those before it; B is not stacked onto A. */
function stack(lines: Line[], dark: boolean): Built {
  const built: Built = { columns: [], series: [], bands: [] };
  const sums: (Float64Array | null)[] = [null, null];
  for (const line of lines) {
    const below = sums[line.side] ?? null;
    const top = line.mean.map((v, i) => {
      const under = below?.[i] ?? NaN;
      return Number.isNaN(v) ? under : v + (Number.isNaN(under) ? 0 : under);
    });
    sums[line.side] = top;
    const color = seriesColor(line.color, dark);
    built.columns.push(column(top));
    built.series.push({
      stroke: color,
      width: 1,
      points: { show: false },
      ...(line.side ? { dash: [5, 3] } : { fill: `${color}b0` }),
    });
    const at = built.columns.length;
    if (below && !line.side) built.bands.push({ series: [at, at - 1], fill: `${color}b0` });
  }
  // The fill reaches down to zero, so what is highest is drawn first.
  return built;
}

function extremes(columns: Column[], { log, unit }: LineOptions): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const values of columns)
    for (const v of values) {
      if (v === null || (log && v <= 0)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  if (low > high) return log ? [1, 10] : [0, 1];
  if (log) {
    const base = Math.log(baseOf(unit));
    return [Math.exp(base * Math.floor(Math.log(low) / base)), Math.exp(base * Math.ceil(Math.log(high * 1.0001) / base))];
  }
  if (low >= 0) low = 0;
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  const top = unit === 'percent' && high <= 100 && high > 90 ? 100 : high + room;
  return [low < 0 ? low - room : 0, top];
}

/** What ticks of a logarithmic axis are powers of. */
const baseOf = (unit: string) => (unit.startsWith('bytes') ? 32 : 10);

function powersWithin([low, high]: [number, number], base: number): number[] {
  const out: number[] = [];
  const first = Math.round(Math.log(low) / Math.log(base));
  for (let e = first; base ** e <= high * 1.001; e++) out.push(base ** e);
  return out;
}
