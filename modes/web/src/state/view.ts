import { batch, computed, effect, signal } from '@preact/signals';
import type { About, Dashboard, Metric, ServerState, TimedEvent } from '../api/types';
import { decodeState, encodeState, type ViewState } from '../lib/urlstate';

export interface Range {
  start: number;
  end: number;
}

// What the server told.
export const server = signal<ServerState | null>(null);
export const dashboards = signal<Dashboard[]>([]);
export const metrics = signal<Metric[] | null>(null);
export const abouts = signal<(About | null)[]>([]);
export const connected = signal(true);
/** Counts how often everything was asked for: what was drawn before may be of other data. */
export const loads = signal(0);
export const failure = signal<string | null>(null);

/** What is open over the page. */
export const dialog = signal<{ kind: 'keys' } | { kind: 'open' } | { kind: 'save' } | { kind: 'event'; time: number } | null>(null);

/** Asks what happened at a time, at the instant that was clicked, or in the middle. */
export function note(time?: number) {
  const { start, end } = range.value;
  dialog.value = { kind: 'event', time: time ?? pinned.value ?? (start + end) / 2 };
}

// What the person chose: all of it is in the address.
export const page = signal('');
/** Null: everything there is. */
export const chosen = signal<Range | null>(null);
export const live = signal(false);
/** Seconds on screen while following. */
export const window_ = signal(300);
export const theme = signal<'auto' | 'light' | 'dark'>('auto');
export const queries = signal<string[]>([]);
export const selected = signal<Record<string, string[]>>({});
export const compare = signal<{ mode: string; offset: number }>({ mode: 'overlay', offset: 0 });
/** Seconds that rates are over; null: what fits the data. Chosen like a label's value. */
export const rateOver = computed(() => Number(selected.value.interval?.[0]) || null);

/** Chooses values of something on a page; none: as if never chosen. */
export function choose(what: string, values: string[]) {
  const { [what]: _, ...others } = selected.value;
  selected.value = values.length ? { ...others, [what]: values } : others;
}

/** Whether charts are small, so that many are on screen. Chosen like a label's value. */
export const small = computed(() => selected.value.size?.[0] === 'small');

export const resize = () => choose('size', small.value ? [] : ['small']);

/** Whether cgroups that are not chosen are shown as one. */
export const withOthers = computed(() => selected.value.others?.[0] !== 'no');

/** An instant that was clicked, whose distributions are shown. Chosen like a label's value. */
export const pinned = computed(() => {
  const time = selected.value.at?.[0];
  return time !== undefined && Number.isFinite(+time) ? +time : null;
});

export const pin = (time: number | null) => choose('at', time === null ? [] : [time.toFixed(3)]);

/** Moves the kept instant by shares of what is on screen, from the middle if none is kept there. */
export function step(share: number) {
  const { start, end } = range.value;
  const kept = pinned.value;
  const from = kept !== null && kept >= start && kept <= end ? kept : (start + end) / 2;
  pin(Math.min(end, Math.max(start, from + share * (end - start))));
}

/** Events that were added on the page, by side. */
export const added = signal<TimedEvent[][]>([]);
export const addedTo = (side: number): TimedEvent[] => added.value[side] ?? [];

/** How much later B's own clock is where it is laid over A. */
export const shiftOf = (side: number): number => (side ? compare.value.offset : 0);

/** What happened to an input, by its own clock, in order. */
export const eventsOf = (side: number): TimedEvent[] =>
  [...(abouts.value[side]?.events ?? []), ...addedTo(side)].sort((a, b) => a.timestamp - b.timestamp);

/** How a query of the explorer is drawn: kind, unit (empty: what the query probably gives) and legend. Chosen like a label's value. */
export const drawOf = (at: number) => selected.value[`draw/${at}`] ?? [];

export const draw = (at: number, how: string[]) => choose(`draw/${at}`, how);

/** Opens queries in the explorer as a chart drew them. */
export function explore(asked: { query: string; legend?: string }[], kind = 'line', unit = '') {
  batch(() => {
    queries.value = asked.map((a) => a.query);
    const others = Object.entries(selected.value).filter(([key]) => !/^(draw|as\/explore|explore)\//.test(key));
    const drawn = asked.map(({ legend = '' }, i): [string, string[]] => [`draw/${i}`, [kind, unit, legend]]);
    selected.value = Object.fromEntries([...others, ...drawn]);
    page.value = 'explore';
  });
}

/** Where the pointer is on the shared time axis, and the chart it is over. */
export const cursor = signal<{ time: number; chart: string } | null>(null);

export const inputs = computed(() => server.value?.inputs ?? []);
export const isLive = computed(() => inputs.value.some((input) => input.kind !== 'recording'));
export const interval = computed(() => Math.max(0.001, ...inputs.value.map((input) => input.interval)));

/** All the time there is; with two inputs, that of the first. */
export const extent = computed<Range>(() => {
  const first = inputs.value[0];
  return first ? { start: first.start, end: Math.max(first.end, first.start + first.interval) } : { start: 0, end: 1 };
});

/** What is on screen. */
export const range = computed<Range>(() => {
  if (live.value) {
    // No more than there is yet, but for the first half minute.
    const { start, end } = extent.value;
    return { start: end - Math.min(window_.value, Math.max(end - start, 30 * interval.value)), end };
  }
  return chosen.value ?? extent.value;
});

/** Where it is while it is being moved: nothing is asked for or drawn again before it comes to rest. */
export const moving = signal<Range | null>(null);

/** What is on screen at this moment. */
export const shown = computed<Range>(() => moving.value ?? range.value);

const prefersDark = signal(matchMedia('(prefers-color-scheme: dark)').matches);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (e) => (prefersDark.value = e.matches));
export const dark = computed(() => (theme.value === 'auto' ? prefersDark.value : theme.value === 'dark'));

/** A span kept within what there is, and a few ticks at least. */
function within(start: number, end: number): Range {
  const all = extent.value;
  const least = interval.value * 4;
  if (end - start < least) {
    const middle = (start + end) / 2;
    start = middle - least / 2;
    end = middle + least / 2;
  }
  const width = Math.min(end - start, all.end - all.start);
  start = Math.min(Math.max(start, all.start), all.end - width);
  return { start, end: start + width };
}

/** Shows a span. */
export function show(start: number, end: number) {
  const all = extent.value;
  const kept = within(start, end);
  batch(() => {
    live.value = false;
    moving.value = null;
    chosen.value = kept.end - kept.start >= (all.end - all.start) * 0.999 ? null : kept;
  });
}

/** ms without a move after which it is at rest. */
const REST = 150;
let resting: ReturnType<typeof setTimeout> | undefined;

/** Moves on to a span, of which there may be many a second. */
export function move(start: number, end: number) {
  moving.value = within(start, end);
  clearTimeout(resting);
  resting = setTimeout(rest, REST);
}

/** What was moved stays where it is. */
export function rest() {
  clearTimeout(resting);
  const at = moving.value;
  if (at) show(at.start, at.end);
}

/** Moves by a share of what is on screen. */
export function pan(share: number) {
  const { start, end } = range.value;
  const by = (end - start) * share;
  show(start + by, end + by);
}

/** Shows `factor` as much time around `at`, or the middle. */
export function zoom(factor: number, at?: number) {
  const { start, end } = range.value;
  const centre = at ?? (start + end) / 2;
  show(centre - (centre - start) * factor, centre + (end - centre) * factor);
}

const history_: Range[] = [];

/** Zooms to a dragged span; `back` undoes it. */
export function zoomTo(start: number, end: number) {
  history_.push(range.value);
  show(start, end);
}

export function back() {
  const last = history_.pop();
  if (last) show(last.start, last.end);
  else chosen.value = null;
}

function current(): ViewState {
  const state: ViewState = { page: page.value };
  if (live.value) {
    state.live = true;
    state.range = window_.value;
  } else if (chosen.value) {
    state.start = chosen.value.start;
    state.end = chosen.value.end;
  }
  if (theme.value !== 'auto') state.theme = theme.value;
  if (queries.value.length) state.queries = queries.value;
  if (Object.keys(selected.value).length) state.selected = selected.value;
  if (inputs.value.length > 1) state.compare = compare.value;
  return state;
}

function adopt(hash: string) {
  const state = decodeState(hash);
  batch(() => {
    page.value = state.page;
    live.value = state.live ?? false;
    window_.value = state.range ?? 300;
    const some = !state.live && state.start !== undefined && state.end !== undefined;
    chosen.value = some ? { start: state.start!, end: state.end! } : null;
    theme.value = state.theme === 'light' || state.theme === 'dark' ? state.theme : 'auto';
    queries.value = state.queries ?? [];
    selected.value = state.selected ?? {};
    if (state.compare) compare.value = state.compare;
  });
}

let written = '';

/** Keeps address and state the same; a new page is a step to go back to, a zoom is not. */
export function bindAddress() {
  adopt(location.hash);
  addEventListener('hashchange', () => {
    if (location.hash !== written) adopt(location.hash);
  });
  let before = page.value;
  effect(() => {
    if (!server.value) return;
    const encoded = encodeState(current());
    const hash = encoded.startsWith('#') ? encoded : `#${encoded}`;
    if (hash === location.hash) return;
    written = hash;
    if (page.value !== before && before !== '') history.pushState(null, '', hash);
    else history.replaceState(null, '', hash);
    before = page.value;
  });
  effect(() => {
    document.documentElement.dataset.theme = dark.value ? 'dark' : 'light';
  });
}
