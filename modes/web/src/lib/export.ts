/** A chart as a file: its numbers, or a picture that stands alone. */

import { stack } from './stack';
import { timeTicks } from './time';
import { axisTicks, logTicks, type Unit } from './units';

function iso(seconds: number): string {
  const date = new Date(Math.round(seconds * 1000));
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

function field(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Names come out of recordings of others; a spreadsheet would calculate what begins like that. */
function harmless(name: string): string {
  return /^[=+\-@\t\r]/.test(name) ? `'${name}` : name;
}

/**
 * RFC 4180: a header, then a line for each time (s), in UTC to the millisecond, and a column for each series; NaN is an empty field.
 */
export function toCsv(times: number[], series: { name: string; values: ArrayLike<number> }[]): string {
  const lines = [['time', ...series.map(({ name }) => field(harmless(name)))].join(',')];
  times.forEach((time, i) => {
    const values = series.map(({ values: all }) => {
      const value = all[i] ?? NaN;
      return Number.isNaN(value) ? '' : String(value);
    });
    lines.push([iso(time), ...values].join(','));
  });
  return `${lines.join('\r\n')}\r\n`;
}

export interface Drawing {
  title: string;
  /** Pixels, legend included; 160 by 120 at least. */
  width: number;
  height: number;
  /** Seconds, ascending. */
  times: number[];
  series: Drawable[];
  unit: Unit;
  dark: boolean;
  /** Each on top of those before it. */
  stacked?: boolean;
  /** A logarithmic axis: what is not above zero has no place. */
  log?: boolean;
  /** How far the total of what is stacked went. */
  peak?: ArrayLike<number>;
}

export interface Drawable {
  name: string;
  color: string;
  values: ArrayLike<number>;
  /** Around the values, filled. */
  least?: ArrayLike<number>;
  greatest?: ArrayLike<number>;
  dashed?: boolean;
}

function xml(text: string): string {
  // Characters that XML cannot have, not even as references, go.
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '')
    .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** How wide a text is about: fonts are the reader's. */
function widthOf(text: string, size: number): number {
  return [...text].length * size * 0.58;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

interface Entry {
  name: string;
  color: string;
  x: number;
  line: number;
}

/** Names from left to right, on as many lines as they need. */
function legend(series: { name: string; color: string }[], width: number): Entry[] {
  let [x, line] = [0, 0];
  return series.map(({ name, color }) => {
    const most = Math.max(1, Math.floor((width - 20) / (11 * 0.58)));
    const short = [...name].length > most ? `${[...name].slice(0, most - 1).join('')}…` : name;
    const needs = 16 + widthOf(short, 11) + 14;
    if (x > 0 && x + needs > width) [x, line] = [0, line + 1];
    const entry = { name: short, color, x, line };
    x += needs;
    return entry;
  });
}

/** Least and greatest of what is drawn, with 0 where all is on one side of it. */
function bounds(all: ArrayLike<number>[], log: boolean): [number, number] {
  let [least, greatest] = log ? [Infinity, -Infinity] : [0, 0];
  for (const values of all) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
  }
  if (log) return least < greatest ? [least, greatest] : least === greatest ? [least / 2, least * 2] : [1, 10];
  return least === greatest ? [0, 1] : [least, greatest];
}

function path(times: number[], values: ArrayLike<number>, x: (t: number) => number, y: (v: number) => number): string {
  let text = '';
  let drawing = false;
  times.forEach((time, i) => {
    const value = values[i] ?? NaN;
    if (!Number.isFinite(value) || !Number.isFinite(time)) {
      drawing = false;
      return;
    }
    // A line of no length is a dot, with its round ends, where gaps are on both sides.
    const alone = !drawing && !Number.isFinite(values[i + 1] ?? NaN);
    text += `${drawing ? 'L' : 'M'}${px(x(time))} ${px(y(value))}${alone ? 'h0' : ''}`;
    drawing = true;
  });
  return text;
}

/** What is between two lines, in pieces where one has a gap. */
function area(times: number[], low: ArrayLike<number>, high: ArrayLike<number>, x: (t: number) => number, y: (v: number) => number): string {
  let text = '';
  let piece: number[] = [];
  const close = () => {
    const point = (values: ArrayLike<number>) => (i: number) => `${px(x(times[i]!))} ${px(y(values[i]!))}`;
    if (piece.length) text += `M${[...piece.map(point(high)), ...piece.reverse().map(point(low))].join('L')}Z`;
    piece = [];
  };
  times.forEach((_, i) => {
    if (Number.isFinite(y(low[i] ?? NaN)) && Number.isFinite(y(high[i] ?? NaN))) piece.push(i);
    else close();
  });
  close();
  return text;
}

/** A line, and what is filled of it: down to the one below where they are stacked, else from least to greatest. */
interface Shape {
  color: string;
  line: ArrayLike<number>;
  fill: [ArrayLike<number>, ArrayLike<number>] | null;
  opacity: number;
  dashed: boolean;
}

function shapes({ series, stacked, peak, times, dark }: Drawing): Shape[] {
  if (!stacked)
    return series.map(({ color, values, least, greatest, dashed = false }) => ({
      color, line: values, fill: least && greatest ? [least, greatest] : null, opacity: 0.2, dashed,
    }));
  const tops = stack(series.map((s) => Float64Array.from(s.values)));
  const floor = new Float64Array(times.length);
  const parts = series.map(({ color }, i): Shape => ({ color, line: tops[i]!, fill: [tops[i - 1] ?? floor, tops[i]!], opacity: 0.65, dashed: false }));
  const top = tops.at(-1);
  return peak && top ? [...parts, { color: dark ? '#9aa1ab' : '#5c6570', line: peak, fill: [top, peak], opacity: 0.12, dashed: false }] : parts;
}

/** A complete SVG document: title, axes with ticks, a line for each series with its gaps and what is filled of it, and the legend. */
export function toSvg(chart: Drawing): string {
  const width = Math.max(160, chart.width || 0);
  const height = Math.max(120, chart.height || 0);
  const { times, series, unit, dark, log = false } = chart;
  const drawn = shapes(chart);
  const [paper, ink, faint, grid] = dark ? ['#15181d', '#e6e8eb', '#9aa1ab', '#2a2f37'] : ['#ffffff', '#1c2026', '#5c6570', '#e4e7eb'];
  const [low, high] = bounds(drawn.flatMap(({ line, fill }) => [line, ...(fill ?? [])]), log);
  const ticks = log ? logTicks(low, high, unit) : axisTicks(low, high, unit, Math.max(2, Math.floor(height / 60)));
  const left = 16 + Math.max(20, ...ticks.map((tick) => widthOf(tick.label, 11)));
  const right = width - 16;
  const entries = legend(series, right - left);
  const lines = Math.min((entries.at(-1)?.line ?? -1) + 1, Math.floor((height - 90) / 16));
  const [top, bottom] = [36, height - 32 - 16 * lines];
  const [start, end] = [times[0] ?? 0, times.at(-1) ?? 1];
  const x = (time: number): number => left + ((time - start) / (end - start || 1)) * (right - left);
  const scale = log ? (value: number) => (value > 0 ? Math.log(value) : NaN) : (value: number) => value;
  const y = (value: number): number => bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (bottom - top);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(height)}" viewBox="0 0 ${px(width)} ${px(height)}"`,
    ' role="img" font-family="system-ui, sans-serif" font-size="11">',
    `<title>${xml(chart.title)}</title>`,
    `<rect width="100%" height="100%" fill="${paper}"/>`,
    `<text x="${px(left)}" y="22" font-size="14" font-weight="600" fill="${ink}">${xml(chart.title)}</text>`,
  ];
  for (const { value, label } of ticks) {
    parts.push(`<path d="M${px(left)} ${px(y(value))}H${px(right)}" stroke="${grid}"/>`,
      `<text x="${px(left - 6)}" y="${px(y(value) + 4)}" text-anchor="end" fill="${faint}">${xml(label)}</text>`);
  }
  for (const { value, label } of timeTicks(start, end, Math.max(2, Math.floor((right - left) / 90)))) {
    if (x(value) + widthOf(label, 11) / 2 > width) continue;
    parts.push(`<path d="M${px(x(value))} ${px(bottom)}v4" stroke="${faint}"/>`,
      `<text x="${px(x(value))}" y="${px(bottom + 17)}" text-anchor="middle" fill="${faint}">${xml(label)}</text>`);
  }
  for (const { color, line, fill, opacity, dashed } of drawn) {
    const filled = fill && area(times, ...fill, x, y);
    if (filled) parts.push(`<path d="${filled}" fill="${xml(color)}" fill-opacity="${opacity}"/>`);
    const d = path(times, log ? Array.from(line, (v) => (v > 0 ? v : NaN)) : line, x, y);
    const round = `stroke-width="${chart.stacked ? 1 : 1.5}" stroke-linejoin="round" stroke-linecap="round"${dashed ? ' stroke-dasharray="5 3"' : ''}`;
    if (d) parts.push(`<path d="${d}" fill="none" stroke="${xml(color)}" ${round}/>`);
  }
  for (const entry of entries) {
    if (entry.line >= lines) break;
    const at = bottom + 36 + 16 * entry.line;
    parts.push(`<rect x="${px(left + entry.x)}" y="${px(at - 8)}" width="10" height="8" rx="2" fill="${xml(entry.color)}"/>`,
      `<text x="${px(left + entry.x + 16)}" y="${px(at)}" fill="${ink}">${xml(entry.name)}</text>`);
  }
  return `${parts.join('\n')}\n</svg>\n`;
}
