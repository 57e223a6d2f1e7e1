// What the server answers, as API.md says.

export type Labels = Record<string, string>;

export interface Input {
  name: string;
  title: string;
  kind: 'recording' | 'log' | 'live';
  start: number;
  end: number;
  interval: number;
  series: number;
  source: string;
  error: string | null;
}

export interface ServerState {
  version: string;
  read_only: boolean;
  label: string;
  inputs: Input[];
}

export interface Query {
  query: string;
  legend?: string;
}

export interface Chart {
  title: string;
  description?: string;
  kind: 'line' | 'stacked' | 'heatmap' | 'percentiles';
  unit: string;
  queries: Query[];
  missing?: string | null;
}

export interface Group {
  title: string;
  charts: Chart[];
}

export interface Dashboard {
  id: string;
  version?: number;
  title: string;
  order?: number;
  origin: string;
  groups: Group[];
}

export interface Metric {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  unit: string;
  help: string;
  sampler: string;
  provenance: string;
  series: number;
  labels: Record<string, string[]>;
}

export interface TimedEvent {
  timestamp: number;
  description: string;
  kind: string;
  source: string;
}

export interface Missed {
  start: number;
  end: number;
  count: number;
  reason: string;
}

export interface About {
  file: { rows: number; columns: number; bytes: number; keys: Record<string, string> } | null;
  systeminfo: Record<string, unknown> | null;
  status: Record<string, unknown> | null;
  events: TimedEvent[];
  missed: Missed[];
  notes: unknown;
}

/** A series of A and B over the same time: a rate per second of counters, the mean of gauges, p99 of histograms; null where it is absent. */
export interface Difference {
  metric: string;
  labels: Labels;
  type: Metric['type'];
  unit: string;
  a: number | null;
  b: number | null;
  of: 'rate' | 'mean' | 'p99';
}

/** What any answer of `view/range` says; lot i begins at `start + i * step`. */
export interface Grid {
  start: number;
  step: number;
  count: number;
  per: number;
  interval: number;
}

export interface SeriesData {
  labels: Labels;
  mean: Float64Array;
  /** Least and greatest of each lot, where several steps are put together. */
  least?: Float64Array;
  greatest?: Float64Array;
}

export interface SeriesAnswer extends Grid {
  kind: 'series';
  reduced: boolean;
  series: SeriesData[];
  warnings: string[];
  infos: string[];
}

export interface HeatAnswer extends Grid {
  kind: 'heatmap';
  bounds: number[];
  cells: { lot: Uint32Array; bucket: Uint32Array; count: Float64Array };
  greatest: number;
  warnings: string[];
  infos: string[];
}

export type RangeAnswer = SeriesAnswer | HeatAnswer;
