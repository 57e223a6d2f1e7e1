import { useState } from 'preact/hooks';
import { offsetOf, shared } from '../lib/compare';
import { formatTime } from '../lib/time';
import * as view from '../state/view';

const near = (a: number, b: number) => Math.abs(a - b) < 1e-3;

/** How A and B are shown, and how B is laid over A. */
export function Compare() {
  const { mode, offset } = view.compare.value;
  const [a, b] = view.inputs.value;
  const set = (change: Partial<typeof view.compare.value>) => (view.compare.value = { ...view.compare.value, ...change });
  const [ofA, ofB] = [0, 1].map((side) => view.eventsOf(side));
  const fixed = (['start', 'end', 'clock'] as const).find((by) => near(offset, offsetOf(a!, b!, by)));
  // What is chosen stays chosen although another way would give the same.
  const [by, setBy] = useState<string>(fixed ?? 'hand');
  const shown = by === 'event' || by === 'hand' || near(offset, offsetOf(a!, b!, by as 'start')) ? by : (fixed ?? 'hand');
  const choose = (way: string) => {
    setBy(way);
    if (way === 'start' || way === 'end' || way === 'clock') set({ offset: offsetOf(a!, b!, way) });
    const first = shared(ofA!, ofB!)[0] ?? { a: ofA![0], b: ofB![0] };
    if (way === 'event' && first.a && first.b) set({ offset: first.b.timestamp - first.a.timestamp });
  };
  const starts = offsetOf(a!, b!, 'start');
  return (
    <div class="fields">
      <label class="field">
        A and B
        <select value={mode} onChange={(e) => set({ mode: e.currentTarget.value })}>
          <option value="overlay">overlaid</option>
          <option value="side">side by side</option>
          <option value="difference">difference</option>
          <option value="ratio">ratio</option>
        </select>
      </label>
      <label class="field">
        aligned by
        <select value={shown} onChange={(e) => choose(e.currentTarget.value)}>
          <option value="start">start</option>
          <option value="end">end</option>
          <option value="clock">the clock</option>
          <option value="event" disabled={!ofA!.length || !ofB!.length}>
            an event
          </option>
          <option value="hand">hand</option>
        </select>
      </label>
      {shown === 'event' && <ByEvent offset={offset} set={(o) => set({ offset: o })} />}
      {shown === 'hand' && (
        <label class="field">
          B earlier by
          <input
            type="number"
            step={a!.interval}
            value={+(offset - starts).toFixed(3)}
            onChange={(e) => set({ offset: starts + Number(e.currentTarget.value) })}
          />
          s
        </label>
      )}
    </div>
  );
}

/** One event of A and one of B at the same place; choosing one that the other has as well takes that too. */
function ByEvent({ offset, set }: { offset: number; set: (offset: number) => void }) {
  const lists = [view.eventsOf(0), view.eventsOf(1)] as const;
  const pairs = shared(...lists);
  const found = lists[0].findIndex((x) => lists[1].some((y) => near(y.timestamp - x.timestamp, offset)));
  const [chosen, setChosen] = useState<[number, number]>(() => {
    const a = Math.max(0, found);
    return [a, Math.max(0, lists[1].findIndex((y) => near(y.timestamp - lists[0][a]!.timestamp, offset)))];
  });
  const choose = (side: 0 | 1, at: number) => {
    const event = lists[side][at]!;
    const pair = pairs.find((p) => (side ? p.b : p.a) === event);
    const other = pair ? (lists[1 - side] as typeof lists[0]).indexOf(side ? pair.a : pair.b) : chosen[1 - side]!;
    const next: [number, number] = side ? [other, at] : [at, other];
    setChosen(next);
    set(lists[1][next[1]]!.timestamp - lists[0][next[0]]!.timestamp);
  };
  return (
    <>
      {([0, 1] as const).map((side) => (
        <select
          key={side}
          class="event-of"
          aria-label={`event of ${view.inputs.value[side]!.name}`}
          value={chosen[side]}
          onChange={(e) => choose(side, Number(e.currentTarget.value))}
        >
          {lists[side].map((event, i) => (
            <option key={i} value={i}>
              {event.description} ({formatTime(event.timestamp, 1)})
            </option>
          ))}
        </select>
      ))}
    </>
  );
}
