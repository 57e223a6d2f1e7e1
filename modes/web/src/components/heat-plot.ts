import type { Heat, Line, Lines } from '../lib/drawn';
import { quantiles } from '../lib/drawn';
import { matrixRaster, raster } from '../lib/heat';
import { heatColor } from '../lib/palette';
import { formatValue } from '../lib/units';
import type { Range } from '../state/view';
import { css, FONT, ROOM, ticksOf } from './frame';

export interface HeatOptions {
  width: number;
  height: number;
  unit: string;
  dark: boolean;
}

export const OVER = [0.5, 0.99];

/** Lowest first on the vertical axis: of lines by number where labels are numbers. */
export function rowsOf(drawn: Lines): Line[] {
  return [...drawn.lines].sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true }));
}

/** A row for each line or bucket, a column for each lot, on one canvas. */
export class HeatPlot {
  readonly canvas = document.createElement('canvas');
  private readonly image = document.createElement('canvas');
  private readonly rows: number;
  private readonly labels: (row: number) => string;

  constructor(
    host: HTMLElement,
    private readonly drawn: Heat | Lines,
    private readonly options: HeatOptions,
    range: Range,
  ) {
    const color = (t: number) => heatColor(t, options.dark);
    let pixels: Uint8ClampedArray;
    let image: number;
    if (drawn.kind === 'heat') {
      this.rows = Math.max(1, drawn.bounds.length - 1);
      this.labels = (row) => formatValue(drawn.bounds[row]!, options.unit);
      const fits = Math.max(1, Math.ceil(this.rows / Math.max(1, options.height - ROOM.top - ROOM.bottom)));
      image = Math.ceil(this.rows / fits);
      pixels = raster(thinned(drawn, fits), drawn.count, image, color, 'log');
    } else {
      const lines = rowsOf(drawn);
      this.rows = Math.max(1, lines.length);
      this.labels = (row) => lines[row]?.label ?? '';
      image = this.rows;
      const [min, max] = matrixLimits(lines, options.unit);
      pixels = matrixRaster(
        lines.map((l) => l.greatest ?? l.mean),
        drawn.count,
        min,
        max,
        color,
      );
    }
    this.image.width = Math.max(1, drawn.count);
    this.image.height = image;
    const copy = new ImageData(this.image.width, image);
    copy.data.set(pixels.subarray(0, copy.data.length));
    this.image.getContext('2d')!.putImageData(copy, 0, 0);
    this.canvas.className = 'heat';
    host.append(this.canvas);
    this.show(range);
  }

  show(range: Range) {
    const { width, height } = this.options;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext('2d')!;
    context.scale(ratio, ratio);
    const w = width - ROOM.left - ROOM.right;
    const h = height - ROOM.top - ROOM.bottom;
    const x = (time: number) => ROOM.left + ((time - range.start) / (range.end - range.start)) * w;
    context.save();
    context.beginPath();
    context.rect(ROOM.left, ROOM.top, w, h);
    context.clip();
    context.fillStyle = css('--cell');
    context.fillRect(ROOM.left, ROOM.top, w, h);
    context.imageSmoothingEnabled = false;
    const left = x(this.drawn.start);
    const right = x(this.drawn.start + this.drawn.count * this.drawn.step);
    context.drawImage(this.image, left, ROOM.top, right - left, h);
    if (this.drawn.kind === 'heat') this.overlay(context, this.drawn, x, h);
    context.restore();
    this.axes(context, range, x, h);
  }

  /** Quantiles as lines over the distribution. */
  private overlay(context: CanvasRenderingContext2D, heat: Heat, x: (time: number) => number, h: number) {
    quantiles(heat, OVER).forEach((values, k) => {
      context.beginPath();
      let down = false;
      values.forEach((value, i) => {
        if (Number.isNaN(value)) return void (down = false);
        const px = x(heat.start + (i + 0.5) * heat.step);
        const py = ROOM.top + h * (1 - rowOf(heat.bounds, value) / this.rows);
        if (down) context.lineTo(px, py);
        else context.moveTo(px, py);
        down = true;
      });
      // Seen on light and dark cells alike.
      context.strokeStyle = css('--halo');
      context.lineWidth = 3;
      context.stroke();
      context.strokeStyle = k ? css('--over-high') : css('--over-low');
      context.lineWidth = 1.25;
      context.stroke();
    });
  }

  private axes(context: CanvasRenderingContext2D, range: Range, x: (time: number) => number, h: number) {
    const { width, height } = this.options;
    context.font = FONT;
    context.fillStyle = css('--muted');
    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const tick of ticksOf(range, width))
      context.fillText(tick.label, x(tick.value), height - ROOM.bottom + 6);
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    const every = Math.max(1, Math.ceil(this.rows / Math.max(1, Math.floor(h / 16))));
    for (let row = 0; row < this.rows; row += every)
      context.fillText(this.labels(row), ROOM.left - 6, ROOM.top + h * (1 - (row + 0.5) / this.rows), ROOM.left - 8);
  }

  destroy() {
    this.canvas.remove();
  }
}

/** Cells with `by` neighbouring buckets added up, where there are more buckets than pixels. */
function thinned({ cells, count: columns }: Heat, by: number): Heat['cells'] {
  if (by === 1) return cells;
  const sums = new Map<number, number>();
  cells.lot.forEach((lot, i) => {
    const at = Math.floor(cells.bucket[i]! / by) * columns + lot;
    sums.set(at, (sums.get(at) ?? 0) + cells.count[i]!);
  });
  const places = [...sums.keys()];
  return {
    lot: Uint32Array.from(places, (at) => at % columns),
    bucket: Uint32Array.from(places, (at) => Math.floor(at / columns)),
    count: Float64Array.from(sums.values()),
  };
}

export function matrixLimits(lines: Line[], unit: string): [number, number] {
  let high = 0;
  for (const line of lines) for (const v of line.greatest ?? line.mean) if (v > high) high = v;
  return [0, unit === 'percent' && high > 50 ? 100 : high || 1];
}

/** Where a value lies among bounds, in rows from the bottom. */
export function rowOf(bounds: number[], value: number): number {
  let low = 0;
  let high = bounds.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! <= value) low = middle;
    else high = middle;
  }
  const width = bounds[low + 1]! - bounds[low]!;
  return low + (width > 0 ? Math.min(1, Math.max(0, (value - bounds[low]!) / width)) : 0);
}
