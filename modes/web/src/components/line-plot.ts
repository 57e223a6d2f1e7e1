import uPlot from 'uplot';
import type { Line, Lines } from '../lib/drawn';
import { totalOf } from '../lib/drawn';
import { bands, extent, isolated, lotTimes, stacked, type Column } from '../lib/envelope';
import { mixed, seriesColor } from '../lib/palette';
import { axisTicks, axisUnit, formatValue } from '../lib/units';
import type { Range } from '../state/view';
import { filling, type Area } from './area';
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
    const beside = options.beside ? build(options.beside).seen : [];
    const limits = limitsOf([...built.seen, ...beside], options);
    this.plot = new uPlot(this.describe(built, limits), data, host);
  }

  private describe(built: Built, limits: [number, number]): uPlot.Options {
    const { width, height, log } = this.options;
    const unit = axisUnit(this.options.unit);
    const stroke = css('--muted');
    // Over what is piled up, since nothing is seen through that.
    const over = this.options.stacked;
    const grid = { stroke: over ? `${stroke}2c` : css('--grid'), width: 1 };
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
      drawOrder: (over ? ['series', 'axes'] : ['axes', 'series']) as uPlot.DrawOrderKey[],
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
  /** What lines go through. */
  columns: Column[];
  series: uPlot.Series[];
  /** These, and the bounds of what is filled. */
  seen: Column[];
}

const shownOf = (drawn: Lines, { only }: LineOptions) => drawn.lines.filter((l) => !only || only.has(l.key));

/** B is dashed. */
const dash = (side: number) => (side ? { dash: [5, 3] } : {});

/** More lines than these are a pixel wide: without a graphics card, a quarter more takes several times as long. */
const FEW = 1;

/** Lines, each with the space between its least and greatest filled. */
function plain(lines: Line[], count: number, { dark, log, height }: LineOptions): Built {
  const { columns, bands: pairs } = bands(lines, count, log);
  const [low, high] = extent(columns) ?? [0, 0];
  // Drawing what nowhere is as wide as a pixel takes as long as what is.
  const least = log ? 0 : (high - Math.min(low, 0)) / height;
  // A sample between two gaps is a point: a line would not show it.
  const filter = (u: uPlot, index: number) => {
    const alone = isolated(u.data[index] as Column);
    return alone.length ? alone : null;
  };
  const seen = columns.slice(0, lines.length);
  const series: uPlot.Series[] = lines.map(({ color: index, side }, i) => {
    const color = seriesColor(index, dark);
    const pair = pairs[i];
    let area: Area | null = pair ? { top: columns[pair[0]]!, foot: columns[pair[1]]! } : null;
    if (area && !isWider(area, least)) area = null;
    if (area) seen.push(area.top, area.foot!);
    const points = { show: false, size: 3, fill: color, stroke: color, width: 0, filter };
    return { stroke: color, width: lines.length > FEW ? 1 : 1.25, points, paths: filling(area), fill: `${color}38`, ...dash(side) };
  });
  return { columns: columns.slice(0, lines.length), series, seen };
}

const isWider = ({ top, foot }: Area, than: number) => top.some((value: number | null, i) => value !== null && value - (foot?.[i] ?? value) > than);

/**
 * Each line on top of those before it, the greatest of the total above all; B is not stacked onto A.
 *
 * The topmost is painted first, down to the foot, and each of those below over it: half the edges that there would be between
 * one and the next, and no seams.
 */
function piled(drawn: Lines, options: LineOptions): Built {
  const built: Built = { columns: [], series: [], seen: [] };
  const add = (column: Column, series: uPlot.Series) => {
    built.columns.push(column);
    built.series.push({ points: { show: false }, ...series });
  };
  const area = (top: Column) => filling({ top, foot: null });
  for (const side of [0, 1]) {
    const lines = shownOf(drawn, options).filter((l) => l.side === side);
    const { columns, peak } = stacked(lines.map((l) => l.mean), totalOf(drawn, side, options.only), drawn.count);
    built.seen.push(...columns);
    if (peak !== null) {
      const color = css('--muted');
      add(columns[peak]!, { stroke: color, width: 0.75, paths: area(columns[peak]!), fill: `${color}22`, ...dash(side) });
    }
    const least = (extent(columns)?.[1] ?? 0) / options.height / 4;
    for (let i = lines.length - 1; i >= 0; i--) {
      const [top, foot] = [columns[i]!, columns[i - 1] ?? null];
      // What nowhere is as high as a part of a pixel takes as long as what is.
      if (foot && !isWider({ top, foot }, least)) continue;
      const color = seriesColor(lines[i]!.color, options.dark);
      if (side) add(top, { stroke: color, width: 1, paths: filling(null), ...dash(side) });
      else add(top, { width: 0, paths: area(top), fill: mixed(color, css('--card'), 0.75) });
    }
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
