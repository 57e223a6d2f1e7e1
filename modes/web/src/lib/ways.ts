/** In which ways a chart can be shown, and what of that goes into the address. */

import type { Chart } from '../api/types';
import { asQuantiles, histogramsOf } from './histogram';

/** The first two are of numbers, the others of distributions. */
export type Shape = 'lines' | 'rows' | 'quantiles' | 'heatmap' | 'spectrum' | 'distribution';

const SHAPES: Shape[] = ['lines', 'rows', 'quantiles', 'heatmap', 'spectrum', 'distribution'];

/** Asked for as cells of buckets. */
export const CELLS: ReadonlySet<Shape> = new Set<Shape>(['heatmap', 'spectrum', 'distribution']);

export interface Ways {
  /** Null: as the chart says. */
  shape: Shape | null;
  table: boolean;
  log: boolean;
}

/** Latencies are read on a logarithmic axis. */
const logOf = (chart: Chart, shape: Shape | null) => shape === 'quantiles' || (shape === null && chart.kind === 'percentiles');

export function readWays(chart: Chart, words: string[]): Ways {
  const shape = SHAPES.find((s) => words.includes(s)) ?? null;
  const log = words.includes('log') || (logOf(chart, shape) && !words.includes('linear'));
  return { shape, table: words.includes('table'), log };
}

/** Only what is not as it would be anyway. */
export function writeWays(chart: Chart, { shape, table, log }: Ways): string[] {
  const words: string[] = shape ? [shape] : [];
  if (table) words.push('table');
  if (log !== logOf(chart, shape)) words.push(log ? 'log' : 'linear');
  return words;
}

/** The chart whose answers a shape draws. */
export function shaped(chart: Chart, shape: Shape | null): Chart {
  const histograms = histogramsOf(chart);
  if (shape === 'quantiles' && chart.kind !== 'percentiles') return asQuantiles(chart, histograms ?? chart.queries);
  if (shape && CELLS.has(shape)) return { ...chart, kind: 'heatmap', queries: histograms ?? chart.queries };
  return chart;
}

/** What a chart can be shown as; `cells` if its own queries give distributions. The first is how it is without choosing. */
export function shapesOf(chart: Chart, cells: boolean): Shape[] {
  const all: Shape[] = ['quantiles', 'heatmap', 'spectrum', 'distribution'];
  if (chart.kind === 'percentiles') return histogramsOf(chart) ? all : ['quantiles'];
  if (cells) return ['heatmap', 'quantiles', 'spectrum', 'distribution'];
  const numbers: Shape[] = chart.kind === 'heatmap' ? ['rows', 'lines'] : ['lines', 'rows'];
  return histogramsOf(chart) ? [...numbers, ...all] : numbers;
}
