import { decodeRange } from './decode';
import type { About, Dashboard, Difference, Metric, RangeAnswer, ServerState } from './types';

/** An answer that says what was wrong; `range` is which bytes of the query, as it was sent. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly range: [number, number] | null = null,
    readonly query = '',
  ) {
    super(message);
  }
}

async function refuse(response: Response, query = ''): Promise<never> {
  const text = await response.text();
  let said: { error?: string; range?: [number, number] } = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  throw new ApiError(said.error ?? `${response.status} ${response.statusText}`, response.status, said.range ?? null, query);
}

async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(path, { signal: signal ?? null });
  if (!response.ok) return refuse(response);
  return response.json();
}

export const getState = () => getJson<ServerState>('view/state');
export const getDashboards = () => getJson<{ dashboards: Dashboard[] }>('view/dashboards').then((a) => a.dashboards);
export const getMetrics = () => getJson<{ metrics: Metric[] }>('view/metrics').then((a) => a.metrics);
export const getAbout = (input: number) => getJson<About>(`view/input/${input}/about`);

/** Values of a label of series that a selector finds, by Prometheus' API. */
export function getLabelValues(label: string, match: string, start: number, end: number): Promise<string[]> {
  const form = new URLSearchParams({ 'match[]': match, start: String(start), end: String(end) });
  return getJson<{ data: string[] }>(`api/v1/label/${label}/values?${form}`).then((a) => a.data);
}

/** A from `start` to `end` against B from `start + offset` to `end + offset`. */
export function getDifferences(start: number, end: number, offset: number, signal: AbortSignal) {
  const form = new URLSearchParams({ start: String(start), end: String(end), offset: String(offset) });
  return getJson<{ rows: Difference[]; truncated: boolean }>(`view/differences?${form}`, signal);
}

export interface RangeRequest {
  query: string;
  start: number;
  end: number;
  points: number;
  format?: 'series' | 'heatmap';
  input?: string;
  step?: number;
  /** Separated by commas. */
  quantiles?: string;
  total?: '1';
}

export async function getRange(request: RangeRequest, signal?: AbortSignal): Promise<RangeAnswer> {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(request)) if (value !== undefined) form.set(key, String(value));
  // Long queries do not fit into an address; short ones the browser may cache.
  const long = request.query.length > 1500;
  const response = long
    ? await fetch('view/range', { method: 'POST', body: form, headers: { 'x-rezolus': '1' }, signal: signal ?? null })
    : await fetch(`view/range?${form}`, { signal: signal ?? null });
  if (!response.ok) return refuse(response, request.query);
  return decodeRange(await response.arrayBuffer());
}

export async function openFile(file: File, second: boolean): Promise<ServerState> {
  const query = new URLSearchParams({ name: file.name });
  if (second) query.set('as', 'B');
  const response = await fetch(`view/open?${query}`, { method: 'POST', body: file, headers: { 'x-rezolus': '1' } });
  if (!response.ok) return refuse(response);
  return response.json();
}

export async function openUrl(url: string, second: boolean): Promise<ServerState> {
  const query = new URLSearchParams({ url });
  if (second) query.set('as', 'B');
  const response = await fetch(`view/open?${query}`, { method: 'POST', headers: { 'x-rezolus': '1' } });
  if (!response.ok) return refuse(response);
  return response.json();
}

export interface Copy {
  input: string;
  /** Seconds; without them all there is. */
  start?: number;
  end?: number;
  events?: { timestamp: number; description: string }[];
  notes?: unknown;
}

/** A recording to keep. */
export async function saveCopy(copy: Copy): Promise<Blob> {
  const response = await fetch('view/save', {
    method: 'POST',
    headers: { 'x-rezolus': '1', 'content-type': 'application/json' },
    body: JSON.stringify(copy),
  });
  if (!response.ok) return refuse(response);
  return response.blob();
}

export interface InputChange {
  inputs: { name: string; end: number; error: string | null }[];
}

/** Listens to `view/events`; the browser connects again by itself. Returns what ends it. */
export function listen(moved: (change: InputChange) => void, replaced: () => void, connected: (is: boolean) => void) {
  const source = new EventSource('view/events');
  source.onopen = () => connected(true);
  source.onerror = () => connected(false);
  source.onmessage = (message) => moved(JSON.parse(message.data));
  source.addEventListener('inputs', replaced);
  return () => source.close();
}
