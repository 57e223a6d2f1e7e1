import type { Chart } from '../api/types';
import { timesOf, totalOf, type Line, type Lines } from '../lib/drawn';
import { lotTimes } from '../lib/envelope';
import { seriesColor } from '../lib/palette';
import { toCsv, toSvg } from '../lib/export';
import * as view from '../state/view';
import { css } from './frame';

/** Hands a file to the browser's downloads. */
export function download(name: string, blob: Blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const named = (title: string, suffix: string) => `${title.replace(/[^\p{L}\p{N}]+/gu, '-').toLowerCase()}.${suffix}`;

/** A line's name, with that of its input where there are two. */
const nameOf = (line: Line) => (view.inputs.value.length > 1 ? `${line.label} · ${view.inputs.value[line.side]?.name ?? ''}` : line.label);

const shownOf = (lines: Lines, only: Set<string> | null) => lines.lines.filter((l) => !only || only.has(l.key));

/** What is drawn as numbers: where lots are of several ticks also their least and greatest. */
export function saveCsv(title: string, lines: Lines, only: Set<string> | null) {
  const series = shownOf(lines, only).flatMap((line) => {
    const name = nameOf(line);
    const { mean, least, greatest } = line;
    if (!least || !greatest) return [{ name, values: mean }];
    return [{ name, values: mean }, { name: `${name} min`, values: least }, { name: `${name} max`, values: greatest }];
  });
  download(named(title, 'csv'), new Blob([toCsv(timesOf(lines), series)], { type: 'text/csv' }));
}

export function saveSvg(chart: Chart, lines: Lines, only: Set<string> | null, log: boolean) {
  const stacked = chart.kind === 'stacked' && !lines.lines.some((l) => l.side);
  const total = stacked ? totalOf(lines, 0, only) : null;
  const svg = toSvg({
    title: chart.title,
    width: 960,
    height: 360,
    times: lotTimes(lines),
    series: shownOf(lines, only).map(({ mean, least, greatest, ...line }) => ({
      name: nameOf({ mean, ...line }),
      color: seriesColor(line.color, view.dark.value),
      values: mean,
      dashed: line.side === 1,
      ...(least && greatest ? { least, greatest } : {}),
    })),
    unit: chart.unit,
    dark: view.dark.value,
    stacked,
    log,
    ...(total ? { peak: total.greatest } : {}),
  });
  download(named(chart.title, 'svg'), new Blob([svg], { type: 'image/svg+xml' }));
}

interface Entry {
  name: string;
  color: string;
}

/** The legend of lines, each name once. */
export function legendOf(lines: Lines, only: Set<string> | null): Entry[] {
  const seen = new Set<string>();
  const once = shownOf(lines, only).filter((l) => l.label && !seen.has(l.key) && seen.add(l.key));
  return once.map((l) => ({ name: l.label, color: seriesColor(l.color, view.dark.value) }));
}

/** What is drawn with its title over it and the legend below, on the page's background; A and B one above the other. */
export function savePng(title: string, canvases: HTMLCanvasElement[], legend: Entry[]) {
  const ratio = devicePixelRatio || 1;
  const [head, row] = [Math.round(32 * ratio), Math.round(18 * ratio)];
  const copy = document.createElement('canvas');
  const context = copy.getContext('2d')!;
  const font = `${12 * ratio}px system-ui, sans-serif`;
  copy.width = Math.max(...canvases.map((c) => c.width));
  context.font = font;
  let [x, line] = [12 * ratio, 0];
  const places = legend.map(({ name, color }) => {
    const needs = context.measureText(name).width + 28 * ratio;
    if (x > 12 * ratio && x + needs > copy.width) [x, line] = [12 * ratio, line + 1];
    const place = { name, color, x, line };
    x += needs;
    return place;
  });
  const apart = canvases.length > 1 ? row : 0;
  const drawn = canvases.reduce((sum, c) => sum + c.height + apart, 0);
  copy.height = head + drawn + (legend.length ? (line + 1) * row + 6 * ratio : 0);
  context.fillStyle = css('--card');
  context.fillRect(0, 0, copy.width, copy.height);
  context.fillStyle = css('--text');
  context.font = `600 ${14 * ratio}px system-ui, sans-serif`;
  context.fillText(title, 12 * ratio, 21 * ratio);
  context.font = font;
  let y = head;
  canvases.forEach((canvas, side) => {
    if (apart) context.fillText(view.inputs.value[side]?.name ?? '', 12 * ratio, y + 12 * ratio);
    context.drawImage(canvas, 0, y + apart);
    y += canvas.height + apart;
  });
  for (const { name, color, x, line } of places) {
    const at = y + line * row;
    context.fillStyle = color;
    context.fillRect(x, at + 3 * ratio, 9 * ratio, 9 * ratio);
    context.fillStyle = css('--text');
    context.fillText(name, x + 14 * ratio, at + 12 * ratio);
  }
  copy.toBlob((blob) => blob && download(named(title, 'png'), blob));
}

export async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    // Only pages of a secure origin may use the clipboard.
    prompt('The address of what is on screen', location.href);
  }
}
