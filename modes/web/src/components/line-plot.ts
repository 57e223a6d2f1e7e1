import uPlot from 'uplot';
import type { Line, Lines } from '../lib/drawn';
import { totalOf } from '../lib/drawn';
import { bands, extent, isolated, lotTimes, stacked, type Bands, type Column } from '../lib/envelope';
import { seriesColor } from '../lib/palette';
import { axisTicks, axisUnit, formatValue } from '../lib/units';
import type { Range } from '../state/view';
import { css, FONT, release, ROOM, ticksOf } from './frame';

export interface LineOptions {
  width: number;
  height: number;
  unit: string;
  stacked: boolean;
  log: boolean;
  dark: boolean;
  /** Keys of lines that are drawn; null: all. */
  only: Set<string> | null;
  /** What has the same vertical axis. */
  beside?: Lines | undefined;
}

/** Lines and their envelopes, drawn by uPlot. The pointer is the frame's business. */
export class LinePlot {
  private readonly plot: uPlot;
  range: Range;

  constructor(
    host: HTMLElement,
    drawn: Lines,
    private readonly options: LineOptions,
    range: Range,
  ) {
    this.range = range;
    const build = (of: Lines) => (options.stacked ? piled(of, options) : plain(shownOf(of, options), of.count, options));
    const built = build(drawn);
    const data = [lotTimes(drawn), ...built.columns] as uPlot.AlignedData;
    const beside = options.beside ? build(options.beside).columns : [];
    const limits = limitsOf([...built.columns, ...beside], options);
    this.plot = new uPlot(this.describe(built, limits), data, host);
  }

  private describe(built: Built, limits: [number, number]): uPlot.Options {
    const { width, height, log } = this.options;
    const unit = axisUnit(this.options.unit);
    const stroke = css('--muted');
    const grid = { stroke: css('--grid'), width: 1 };
    const count = Math.max(2, Math.floor((height - 30) / 34));
    const axis = { stroke, grid, font: FONT, ticks: { show: false } };
    const label = (ticks: { value: number; label: string }[]) => (_: uPlot, splits: number[]) =>
      splits.map((s) => ticks.find((t) => t.value === s)?.label ?? '');
    const y = axisTicks(limits[0], limits[1], unit, count);
    const x = () => ticksOf(this.range, width);
    const powers = () => fewer(powersWithin(limits, baseOf(unit)), Math.max(2, Math.floor((height - 30) / 14)));
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
    // At once: how long it takes is of interest.
    this.plot.batch(() => this.plot.setScale('x', { min: range.start, max: range.end }));
  }

  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  destroy() {
    this.plot.destroy();
    release(this.canvas);
  }
}

interface Built {
  columns: Column[];
  series: uPlot.Series[];
  bands: uPlot.Band[];
}

const shownOf = (drawn: Lines, { only }: LineOptions) => drawn.lines.filter((l) => !only || only.has(l.key));

const UNSEEN: uPlot.Series = { width: 0, points: { show: false } };

/** B is dashed. */
const dash = (side: number) => (side ? { dash: [5, 3] } : {});

/** Lines, each with the space between its least and greatest filled. */
function plain(lines: Line[], count: number, { dark, log, height }: LineOptions): Built {
  const { columns, bands: pairs } = wide(bands(lines, count, log), lines.length, log ? 0 : 1 / height);
  const colors = lines.map((line) => seriesColor(line.color, dark));
  // A sample between two gaps is a point: a line would not show it.
  const filter = (u: uPlot, index: number) => {
    const alone = isolated(u.data[index] as Column);
    return alone.length ? alone : null;
  };
  const series: uPlot.Series[] = lines.map(({ side }, i) => {
    const color = colors[i]!;
    return { stroke: color, width: 1.25, points: { show: false, size: 3, fill: color, stroke: color, width: 0, filter }, ...dash(side) };
  });
  const filled: uPlot.Band[] = [];
  pairs.forEach((pair, i) => {
    if (!pair) return;
    series.push(UNSEEN, UNSEEN);
    // The first of uPlot's columns is the times.
    filled.push({ series: [pair[0] + 1, pair[1] + 1], fill: `${colors[i]}38` });
  });
  return { columns, series, bands: filled };
}

/** Without the bands that nowhere are wider than a `share` of what is drawn: drawing them takes as long as it does lines. */
function wide({ columns, bands }: Bands, lines: number, share: number): Bands {
  const [low, high] = extent(columns) ?? [0, 0];
  const least = (high - Math.min(low, 0)) * share;
  const kept: Bands = { columns: columns.slice(0, lines), bands: [] };
  for (const pair of bands) {
    const [greatest, lowest] = pair ? [columns[pair[0]]!, columns[pair[1]]!] : [[], []];
    const seen = greatest.some((top, i) => top !== null && top - (lowest[i] ?? top) > least);
    kept.bands.push(seen ? [kept.columns.length, kept.columns.length + 1] : null);
    if (seen) kept.columns.push(greatest, lowest);
  }
  return kept;
}

/** Each line on top of those before it, the greatest of the total above all; B is not stacked onto A. */
function piled(drawn: Lines, options: LineOptions): Built {
  const built: Built = { columns: [], series: [], bands: [] };
  for (const side of [0, 1]) {
    const lines = shownOf(drawn, options).filter((l) => l.side === side);
    const { columns, peak } = stacked(lines.map((l) => l.mean), totalOf(drawn, side, options.only), drawn.count);
    const first = built.columns.length + 1;
    built.columns.push(...columns);
    lines.forEach((line, i) => {
      const color = seriesColor(line.color, options.dark);
      const fill = side ? {} : { fill: `${color}b0` };
      built.series.push({ stroke: color, width: 1, points: { show: false }, ...fill, ...dash(side) });
      // Without a band the fill of what is above would reach down to zero, through all below.
      if (i && !side) built.bands.push({ series: [first + i, first + i - 1], fill: `${color}b0` });
    });
    if (peak === null) continue;
    const color = css('--muted');
    built.series.push({ stroke: color, width: 0.75, points: { show: false }, ...dash(side) });
    built.bands.push({ series: [first + peak, first + peak - 1], fill: `${color}22` });
  }
  return built;
}

function limitsOf(columns: Column[], { log, unit }: LineOptions): [number, number] {
  const found = extent(columns);
  if (!found) return log ? [1, 10] : [0, 1];
  let [low, high] = found;
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

/** Every so many of them, so that no more than `most` are left. */
const fewer = (all: number[], most: number) => all.filter((_, i) => i % Math.ceil(all.length / most) === 0);

function powersWithin([low, high]: [number, number], base: number): number[] {
  const out: number[] = [];
  const first = Math.round(Math.log(low) / Math.log(base));
  for (let e = first; base ** e <= high * 1.001; e++) out.push(base ** e);
  return out;
}
