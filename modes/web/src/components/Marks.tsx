import * as view from '../state/view';

/** Events, and spans in which ticks were missed, on a chart `width` pixels wide. */
export function Marks({ width }: { width: number }) {
  const { start, end } = view.range.value;
  const x = (time: number) => ((time - start) / (end - start)) * width;
  const events = view.abouts.value.flatMap((about, side) =>
    (about?.events ?? []).map((e) => ({ ...e, timestamp: e.timestamp - (side ? view.compare.value.offset : 0) })),
  );
  const missed = view.abouts.value[0]?.missed ?? [];
  const pinned = view.pinned.value;
  return (
    <>
      {pinned !== null && pinned >= start && pinned <= end && <div class="pin" style={{ left: `${x(pinned)}px` }} />}
      {missed
        .filter((m) => m.end >= start && m.start <= end)
        .map((m) => (
          <div
            key={m.start}
            class="missed"
            title={`${m.count} ticks missed: ${m.reason}`}
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
            key={`${e.timestamp} ${e.description}`}
            class="event"
            style={{ left: `${x(e.timestamp)}px` }}
            title={e.description}
          />
        ))}
    </>
  );
}
