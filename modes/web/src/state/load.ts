import { batch } from '@preact/signals';
import { getAbout, getDashboards, getMetrics, getState, listen } from '../api/client';
import type { ServerState } from '../api/types';
import * as view from './view';

/** Asks for everything but charts, again after the inputs changed. */
export async function load(known?: ServerState) {
  try {
    const [state, dashboards] = await Promise.all([known ?? getState(), getDashboards()]);
    batch(() => {
      const before = view.server.value;
      const first = before === null;
      // The same again, after the server was away, is seen as it was.
      const same = before !== null && keyOf(before) === keyOf(state);
      view.loads.value++;
      view.server.value = state;
      view.dashboards.value = dashboards;
      view.failure.value = null;
      if (!view.page.value) view.page.value = dashboards[0]?.id ?? '';
      view.metrics.value = null;
      // A live input is followed unless the address asked for a span.
      if (first && view.isLive.value && !view.chosen.value) view.live.value = state.inputs[0]?.kind === 'live';
      if (!first && !same) view.chosen.value = null;
      if (!same) align(state);
    });
    loadAbouts(state);
  } catch (error) {
    view.failure.value = `the server does not answer: ${(error as Error).message}`;
  }
}

const keyOf = ({ inputs }: ServerState) => inputs.map((i) => `${i.name} ${i.title} ${i.kind === 'recording' ? i.start : ''}`).join('\n');

/** B is moved so that both begin at the same place, unless it was aligned by hand. */
function align(state: ServerState) {
  const [a, b] = state.inputs;
  if (a && b && view.compare.value.offset === 0) view.compare.value = { ...view.compare.value, offset: b.start - a.start };
}

/** Seconds after which is asked again what happened to an input that goes on. */
const ABOUT_EVERY = 15;
let asked = 0;

async function loadAbouts(state: ServerState) {
  asked = Date.now();
  view.abouts.value = await Promise.all(state.inputs.map((_, i) => getAbout(i).catch(() => null)));
}

/** Metrics are asked for by the pages that show them. */
export async function loadMetrics() {
  if (view.metrics.value === null) view.metrics.value = await getMetrics();
}

/** What changed arrives as events; a lost connection comes back by itself. */
export function follow() {
  return listen(
    ({ inputs: moved }) => {
      const state = view.server.value;
      if (!state) return;
      const inputs = state.inputs.map((input) => {
        const to = moved.find((m) => m.name === input.name);
        return to ? { ...input, end: to.end, error: to.error } : input;
      });
      view.server.value = { ...state, inputs };
      if (Date.now() - asked > ABOUT_EVERY * 1000) void loadAbouts(state);
    },
    () => void load(),
    (is) => {
      if (is && !view.connected.value) void load();
      view.connected.value = is;
    },
  );
}
