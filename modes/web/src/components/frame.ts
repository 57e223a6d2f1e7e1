import { timeTicks } from '../lib/time';

/** Room around what is drawn, in CSS pixels: the same for all charts, so that their time axes are in line. */
export const ROOM = { left: 72, right: 10, top: 8, bottom: 22 };

const colors = new Map<string, string>();

/** A colour of the style sheet. Asked once for each theme: between two charts the answer takes computing all styles again. */
export function css(name: string): string {
  const root = document.documentElement;
  const key = `${root.dataset.theme} ${name}`;
  const color = colors.get(key) ?? getComputedStyle(root).getPropertyValue(name).trim();
  // Nothing before there is a style sheet.
  if (color) colors.set(key, color);
  return color;
}

export const FONT = '11px system-ui, sans-serif';

/** Ticks of the time axis of a chart, without those whose text would leave it, or be under that of the other axis. */
export function ticksOf({ start, end }: { start: number; end: number }, width: number) {
  const margin = (22 * (end - start)) / Math.max(1, width - ROOM.left - ROOM.right);
  const ticks = timeTicks(start, end, Math.max(2, Math.floor(width / 80)));
  return ticks.filter((t) => t.value >= start + margin && t.value <= end - margin);
}

export interface Size {
  width: number;
  height: number;
}

/** An empty canvas of a size in CSS pixels, as fine as the screen is. */
export function fitted(canvas: HTMLCanvasElement, { width, height }: Size): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  return context;
}

/** Gives back what a canvas holds at once: collectors see a few bytes of it, and leave its pixels for long. */
export function release(canvas: HTMLCanvasElement) {
  canvas.width = canvas.height = 0;
}
