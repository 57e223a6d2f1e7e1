/** What is on screen, in the part of the address behind `#`, so that a link opens it again. */

export interface ViewState {
  /** Which page; empty is the first. */
  page: string;
  /** The span, seconds since the epoch; without both, all there is. */
  start?: number;
  end?: number;
  /** Whether the newest is followed. */
  live?: boolean;
  theme?: string;
  /** Of the explorer. */
  queries?: string[];
  /** Label values chosen on a page, by what is chosen from. */
  selected?: Record<string, string[]>;
  /** How two inputs are laid over each other; `offset` in seconds. */
  compare?: { mode: string; offset: number };
  /** How much of the newest is followed, seconds. */
  range?: number;
}

/** Left as they are for links that can be read; all of them are allowed in a fragment and mean nothing here. */
const READABLE = /%(?:2F|3A|2C|40|24|3B|7E|28|29|27|21|2A)/gi;

/** Percent-encoded, `kept` characters not; a lone surrogate, which has no such form, becomes U+FFFD. */
function escape(text: string, kept = READABLE): string {
  const whole = text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (c) => (c.length === 2 ? c : '\ufffd'));
  return encodeURIComponent(whole).replace(kept, (c) => decodeURIComponent(c)).replace(/%20/g, '+');
}

/** Commas stand between these, and a colon behind a name. */
const LISTED = /%(?:2F|40|24|7E|28|29)/gi;

function unescape(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replace(/\+/g, ' '));
  } catch {
    return undefined;
  }
}

function number(text: string | undefined): number | undefined {
  // Not what Number takes besides: hexadecimal, blanks, Infinity.
  return text !== undefined && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

/** As short as it can be without losing anything. */
function numberText(value: number): string {
  return String(value).replace('e+', 'e');
}

/** `#/cpu?from=…&to=…`. Members that are absent or not finite are left out. */
export function encodeState(state: ViewState): string {
  const parts: string[] = [];
  const put = (key: string, value: number | undefined): void => {
    if (value !== undefined && Number.isFinite(value)) parts.push(`${key}=${numberText(value)}`);
  };
  put('from', state.start);
  put('to', state.end);
  put('range', state.range);
  if (state.live !== undefined) parts.push(`live=${state.live ? 1 : 0}`);
  if (state.theme !== undefined) parts.push(`theme=${escape(state.theme)}`);
  if (state.compare && Number.isFinite(state.compare.offset)) {
    parts.push(`compare=${escape(state.compare.mode, LISTED)}:${numberText(state.compare.offset)}`);
  }
  for (const query of state.queries ?? []) parts.push(`q=${escape(query)}`);
  if (state.queries?.length === 0) parts.push('q');
  for (const [name, values] of Object.entries(state.selected ?? {})) {
    const list = values.map((value) => escape(value, LISTED)).join(',');
    // One empty value and no value are not the same.
    parts.push(`s=${escape(name, LISTED)}${values.length === 0 ? '' : `:${list}`}`);
  }
  if (state.selected && Object.keys(state.selected).length === 0) parts.push('s');
  return `#/${escape(state.page)}${parts.length === 0 ? '' : `?${parts.join('&')}`}`;
}

function readCompare(value: string): ViewState['compare'] {
  const colon = value.lastIndexOf(':');
  const mode = unescape(value.slice(0, Math.max(0, colon)));
  const offset = number(value.slice(colon + 1));
  return colon < 0 || mode === undefined || offset === undefined ? undefined : { mode, offset };
}

function readSelected(value: string, into: Map<string, string[]>): void {
  const colon = value.indexOf(':');
  const name = unescape(colon < 0 ? value : value.slice(0, colon));
  const values = colon < 0 ? [] : value.slice(colon + 1).split(',').map(unescape);
  if (name !== undefined && values.every((v) => v !== undefined)) into.set(name, values);
}

/** The state of a hash, with or without `#`; what cannot be read in it is as if it were not there. */
export function decodeState(hash: string): ViewState {
  const [, path, query] = /^#?\/?([^?]*)(?:\?(.*))?$/s.exec(hash) ?? [];
  const state: ViewState = { page: unescape(path ?? '') ?? '' };
  const queries: string[] = [];
  const selected = new Map<string, string[]>();
  const fields: Record<string, (value: string) => void> = {
    from: (value) => { const n = number(value); if (n !== undefined) state.start = n; },
    to: (value) => { const n = number(value); if (n !== undefined) state.end = n; },
    range: (value) => { const n = number(value); if (n !== undefined) state.range = n; },
    live: (value) => { if (value === '0' || value === '1') state.live = value === '1'; },
    theme: (value) => { const text = unescape(value); if (text !== undefined) state.theme = text; },
    compare: (value) => { const compare = readCompare(value); if (compare) state.compare = compare; },
    q: (value) => { const text = unescape(value); if (text !== undefined) queries.push(text); },
    s: (value) => readSelected(value, selected),
  };
  for (const part of (query ?? '').split('&')) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    if (key === 'q' && equals < 0) state.queries = [];
    else if (key === 's' && equals < 0) state.selected = {};
    else if (equals >= 0 && Object.hasOwn(fields, key)) fields[key]!(part.slice(equals + 1));
  }
  if (queries.length > 0) state.queries = queries;
  if (selected.size > 0) state.selected = Object.fromEntries(selected);
  return state;
}
