import * as view from '../state/view';

interface Props {
  width: number;
  /** Of one side only. */
  of?: number | undefined;
}

/** Events, and spans in which ticks were missed, on a chart `width` pixels wide. Those of B are where B is laid over A. */
export function Marks({ width, of: only }: Props) {
  const { start, end } = view.range.value;
  const x = (time: number) => ((time - start) / (end - start)) * width;
  const two = view.inputs.value.length > 1;
  const all = view.inputs.value.slice(0, 2).map((input, side) => ({
    of: two ? `${input.name}: ` : '',
    shift: -view.shiftOf(side),
    side,
  }));
  const sides = all.filter(({ side }) => only === undefined || only === side);
  const missed = sides.flatMap(({ of, shift, side }) =>
    (view.abouts.value[side]?.missed ?? []).map((m) => ({ ...m, start: m.start + shift, end: m.end + shift, of, side })),
  );
  const events = sides.flatMap(({ of, shift, side }) =>
    view.eventsOf(side).map((e) => ({ ...e, timestamp: e.timestamp + shift, of, side })),
  );
  const pinned = view.pinned.value;
  return (
    <>
      {pinned !== null && pinned >= start && pinned <= end && <div class="pin" style={{ left: `${x(pinned)}px` }} />}
      {missed
        .filter((m) => m.end >= start && m.start <= end)
        .map((m) => (
          <div
            key={`${m.side} ${m.start}`}
            class={m.side ? 'missed of-b' : 'missed'}
            title={`${m.of}${m.count} ticks missed: ${m.reason}`}
            style={{
              left: `${Math.max(0, x(m.start))}px`,
              width: `${Math.max(2, Math.min(width, x(m.end)) - Math.max(0, x(m.start)))}px`,
            }}
          />
        ))}
      {events
        .filter((e) => e.timestamp >= start && e.timestamp <= end)
        .map((e) => (
          <div
            key={`${e.side} ${e.timestamp} ${e.description}`}
            class={e.side ? 'event of-b' : 'event'}
            data-of={two ? 'AB'[e.side] : undefined}
            style={{ left: `${x(e.timestamp)}px` }}
            title={`${e.of}${e.description}`}
          />
        ))}
    </>
  );
}
