/** The notebook of a recording: text and charts in order, as its key `rezolus.notes` keeps them. */

import type { Chart } from '../api/types';

export interface TextCell {
  type: 'text';
  text: string;
}

export interface ChartCell {
  type: 'chart';
  title: string;
  kind: Chart['kind'];
  unit: string;
  queries: { query: string; legend: string }[];
  /** What was on screen, seconds. */
  from: number;
  to: number;
  /** How it was shown, as the address says it. */
  as?: string[];
}

export type Cell = TextCell | ChartCell;

export interface Notes {
  version: 1;
  cells: Cell[];
}

const KINDS = ['line', 'stacked', 'heatmap', 'percentiles'];

const isText = (value: unknown): value is string => typeof value === 'string';

/** A cell of somebody's file: what is not as it should be is left out. */
function readCell(value: unknown): Cell[] {
  if (typeof value !== 'object' || value === null) return [];
  const cell = value as Record<string, unknown>;
  if (cell.type === 'text') return isText(cell.text) ? [{ type: 'text', text: cell.text }] : [];
  if (cell.type !== 'chart' || !Array.isArray(cell.queries)) return [];
  const queries = cell.queries.flatMap((q) => {
    const { query, legend } = (q ?? {}) as Record<string, unknown>;
    return isText(query) ? [{ query, legend: isText(legend) ? legend : '' }] : [];
  });
  const number = (n: unknown) => (typeof n === 'number' && Number.isFinite(n) ? n : NaN);
  const [from, to] = [number(cell.from), number(cell.to)];
  if (!queries.length || !(from < to)) return [];
  const title = isText(cell.title) ? cell.title : queries[0]!.query;
  const kind = KINDS.includes(cell.kind as string) ? (cell.kind as Chart['kind']) : 'line';
  const as = Array.isArray(cell.as) ? cell.as.filter(isText) : [];
  return [{ type: 'chart', title, kind, unit: isText(cell.unit) ? cell.unit : 'count', queries, from, to, ...(as.length ? { as } : {}) }];
}

/** The notes that a recording has; null if it has none that can be read. */
export function readNotes(value: unknown): Notes | null {
  if (typeof value !== 'object' || value === null) return null;
  const { version, cells } = value as Record<string, unknown>;
  return version === 1 && Array.isArray(cells) ? { version, cells: cells.flatMap(readCell) } : null;
}

/** The cell at `at` one place up (-1) or down (1). */
export function moved(cells: Cell[], at: number, by: -1 | 1): Cell[] {
  const to = at + by;
  if (to < 0 || to >= cells.length || !cells[at]) return cells;
  const out = [...cells];
  [out[at], out[to]] = [out[to]!, out[at]!];
  return out;
}

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'strong'; text: string }
  | { kind: 'em'; text: string }
  | { kind: 'link'; text: string; href: string };

export type Block = { kind: 'heading'; level: number; text: Inline[] } | { kind: 'paragraph'; text: Inline[] } | { kind: 'list'; items: Inline[][] };

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;

/** Code, strong, emphasis and links of a line; addresses of the web only. */
export function inline(text: string): Inline[] {
  const out: Inline[] = [];
  let done = 0;
  for (const match of text.matchAll(INLINE)) {
    const [all, code, strong, em, name, href] = match;
    if (match.index > done) out.push({ kind: 'text', text: text.slice(done, match.index) });
    if (code !== undefined) out.push({ kind: 'code', text: code });
    else if (strong !== undefined) out.push({ kind: 'strong', text: strong });
    else if (em !== undefined) out.push({ kind: 'em', text: em });
    else out.push({ kind: 'link', text: name!, href: href! });
    done = match.index + all.length;
  }
  if (done < text.length) out.push({ kind: 'text', text: text.slice(done) });
  return out;
}

/** A little Markdown as a tree, which is drawn as text: headings, lists, paragraphs. Nothing in it is HTML. */
export function markdown(text: string): Block[] {
  const out: Block[] = [];
  let open: string[] = [];
  const close = () => {
    if (open.length) out.push({ kind: 'paragraph', text: inline(open.join('\n')) });
    open = [];
  };
  for (const line of text.split(/\r?\n/)) {
    const heading = /^(#{1,3})\s+(.+)$/.exec(line);
    const item = /^\s*[-*]\s+(.+)$/.exec(line);
    if (heading || item || !line.trim()) close();
    const last = out.at(-1);
    if (heading) out.push({ kind: 'heading', level: heading[1]!.length, text: inline(heading[2]!) });
    else if (item && last?.kind === 'list') last.items.push(inline(item[1]!));
    else if (item) out.push({ kind: 'list', items: [inline(item[1]!)] });
    else if (line.trim()) open.push(line);
  }
  close();
  return out;
}
