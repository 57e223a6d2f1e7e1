import type { Chart } from '../api/types';
import { timesOf, type Lines } from '../lib/drawn';
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

const seriesOf = (lines: Lines) =>
  lines.lines.map((l) => ({ name: l.label, color: seriesColor(l.color, view.dark.value), values: l.mean }));

export function saveCsv(title: string, lines: Lines) {
  download(named(title, 'csv'), new Blob([toCsv(timesOf(lines), seriesOf(lines))], { type: 'text/csv' }));
}

export function saveSvg(chart: Chart, lines: Lines) {
  const { title, unit } = chart;
  const svg = toSvg({
    title,
    width: 960,
    height: 360,
    times: timesOf(lines),
    series: seriesOf(lines),
    unit,
    dark: view.dark.value,
  });
  download(named(title, 'svg'), new Blob([svg], { type: 'image/svg+xml' }));
}

/** The chart with its title over it, on the page's background. */
export function savePng(title: string, canvas: HTMLCanvasElement) {
  const ratio = devicePixelRatio || 1;
  const head = Math.round(32 * ratio);
  const copy = document.createElement('canvas');
  copy.width = canvas.width;
  copy.height = canvas.height + head;
  const context = copy.getContext('2d')!;
  context.fillStyle = css('--card');
  context.fillRect(0, 0, copy.width, copy.height);
  context.fillStyle = css('--text');
  context.font = `600 ${14 * ratio}px system-ui, sans-serif`;
  context.fillText(title, 12 * ratio, 21 * ratio);
  context.drawImage(canvas, 0, head);
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
