import { batch, computed, effect, signal } from '@preact/signals';
import type { Chart, Input, TimedEvent } from '../api/types';
import { readNotes, type Cell } from '../lib/notebook';
import * as view from './view';

// What is written of a recording until it is saved with it: kept by the browser, a store for each recording. Charts and
// text are written about A; of B there are those that came with it, and events.
const written = signal<Cell[][]>([]);
const changed = signal<boolean[]>([]);

export const cellsOf = (side: number): Cell[] => written.value[side] ?? [];
export const cells = computed(() => cellsOf(0));
export const unsaved = computed(() => changed.value.some((is) => is));

/** The name of an input's store. The beginning of what is kept of a live input moves. */
const storeOf = (input: Input) => `rezolus.notes ${input.title} ${input.kind === 'recording' ? input.start : ''}`;

const stores = computed(() => view.inputs.value.slice(0, 2).map(storeOf));
/** Inputs change all the time while they are live, their names do not. */
const named = computed(() => stores.value.join('\n'));

interface Kept {
  cells: Cell[];
  events: TimedEvent[];
  unsaved: boolean;
}

function kept(name: string): Kept | null {
  try {
    const { cells, events, unsaved } = JSON.parse(localStorage.getItem(name) ?? 'null');
    const notes = readNotes({ version: 1, cells });
    return notes && { cells: notes.cells, events, unsaved };
  } catch {
    return null;
  }
}

function keep(side: number) {
  const what: Kept = { cells: written.peek()[side] ?? [], events: view.addedTo(side), unsaved: changed.peek()[side] ?? false };
  try {
    localStorage.setItem(stores.peek()[side]!, JSON.stringify(what));
  } catch {
    // No room, or not allowed: it is there until the page is left, which asks before.
  }
}

/** Of a side; of both where they are the same recording. */
const put = <T>(all: T[], side: number, what: T) => stores.peek().map((name, i) => (name === stores.peek()[side] ? what : all[i]!));

function change(side: number, what: () => void) {
  batch(() => {
    what();
    changed.value = put(changed.peek(), side, true);
  });
  keep(side);
}

export const setCells = (next: Cell[]) => change(0, () => (written.value = put(written.peek(), 0, next)));

/** Adds a chart as it is on screen. */
export function pin(chart: Chart, as: string[]) {
  const { title, kind, unit } = chart;
  const queries = chart.queries.map(({ query, legend = '' }) => ({ query, legend }));
  const { start, end } = view.range.peek();
  setCells([...cells.peek(), { type: 'chart', title, kind, unit, queries, from: start, to: end, ...(as.length ? { as } : {}) }]);
}

const setEvents = (side: number, events: TimedEvent[]) => change(side, () => (view.added.value = put(view.added.peek(), side, events)));

/** Notes an event of a side, by its own clock. */
export const addEvent = (side: number, timestamp: number, description: string) =>
  setEvents(side, [...view.addedTo(side), { timestamp, description, kind: 'note', source: 'viewer' }]);

export const removeEvent = (side: number, event: TimedEvent) => setEvents(side, view.addedTo(side).filter((e) => e !== event));

/** What was written is in a copy of the recording now, but still not in the one that is open. */
export function saved(side: number) {
  changed.value = put(changed.peek(), side, false);
  keep(side);
}

/** Throws away what was written: what the recordings themselves say is there again. */
export function forget() {
  for (const name of stores.peek()) localStorage.removeItem(name);
  adopt([]);
}

function adopt(own: (Kept | null)[]) {
  const sides = view.inputs.peek().slice(0, 2);
  batch(() => {
    written.value = sides.map((_, side) => own[side]?.cells ?? readNotes(view.abouts.peek()[side]?.notes)?.cells ?? []);
    view.added.value = sides.map((_, side) => own[side]?.events ?? []);
    changed.value = sides.map((_, side) => own[side]?.unsaved ?? false);
  });
}

/** What is kept of the recordings that are open, else their own notes; asks before work is lost with the page. */
export function bindNotebook() {
  effect(() => {
    view.abouts.value;
    if (named.value) adopt(stores.peek().map(kept));
  });
  addEventListener('beforeunload', (event) => {
    if (unsaved.peek()) event.preventDefault();
  });
}
