import { batch, computed, effect, signal } from '@preact/signals';
import type { Chart, TimedEvent } from '../api/types';
import { readNotes, type Cell } from '../lib/notebook';
import * as view from './view';

// What is written of a recording until it is saved with it: kept by the browser, a store for each recording.
export const cells = signal<Cell[]>([]);
export const unsaved = signal(false);

const key = computed(() => {
  const input = view.inputs.value[0];
  // The beginning of what is kept of a live input moves.
  return input ? `rezolus.notes ${input.title} ${input.kind === 'recording' ? input.start : ''}` : null;
});

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

function keep() {
  const what: Kept = { cells: cells.peek(), events: view.added.peek(), unsaved: unsaved.peek() };
  try {
    localStorage.setItem(key.peek()!, JSON.stringify(what));
  } catch {
    // No room, or not allowed: it is there until the page is left, which asks before.
  }
}

function change(what: () => void) {
  batch(() => {
    what();
    unsaved.value = true;
  });
  keep();
}

export const setCells = (next: Cell[]) => change(() => (cells.value = next));

/** Adds a chart as it is on screen. */
export function pin(chart: Chart, as: string[]) {
  const { title, kind, unit } = chart;
  const queries = chart.queries.map(({ query, legend = '' }) => ({ query, legend }));
  const { start, end } = view.range.peek();
  setCells([...cells.peek(), { type: 'chart', title, kind, unit, queries, from: start, to: end, ...(as.length ? { as } : {}) }]);
}

export function addEvent(timestamp: number, description: string) {
  change(() => (view.added.value = [...view.added.value, { timestamp, description, kind: 'note', source: 'viewer' }]));
}

export const removeEvent = (event: TimedEvent) => change(() => (view.added.value = view.added.value.filter((e) => e !== event)));

/** What was written is in a copy of the recording now, but still not in the one that is open. */
export function saved() {
  unsaved.value = false;
  keep();
}

/** Throws away what was written: what the recording itself says is there again. */
export function forget() {
  localStorage.removeItem(key.peek()!);
  adopt(null);
}

function adopt(own: Kept | null) {
  batch(() => {
    cells.value = own?.cells ?? readNotes(view.abouts.peek()[0]?.notes)?.cells ?? [];
    view.added.value = own?.events ?? [];
    unsaved.value = own?.unsaved ?? false;
  });
}

/** What is kept of the recording that is open, else its own notes; asks before work is lost with the page. */
export function bindNotebook() {
  effect(() => {
    const name = key.value;
    view.abouts.value;
    if (name) adopt(kept(name));
  });
  addEventListener('beforeunload', (event) => {
    if (unsaved.peek()) event.preventDefault();
  });
}
