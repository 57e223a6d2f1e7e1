import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { lotAt, type Heat } from '../lib/drawn';
import { byLot, distribution, quantileName, shareBelow, type Distribution as Counts } from '../lib/histogram';
import { seriesColor } from '../lib/palette';
import { formatTime } from '../lib/time';
import { formatValue, logTicks } from '../lib/units';
import * as view from '../state/view';
import { css, fitted, FONT, ROOM, type Size } from './frame';
import { valuesOf } from './pictures';

interface Props extends Size {
  title: string;
  drawn: Heat;
  unit: string;
}

/** The distribution at the crosshair of any chart, or where one was clicked; else of all that is on screen. A and B are overlaid. */
export function Distribution({ title, drawn, unit, width, height }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, point] = useState<number | null>(null);
  const sides = useMemo(() => [drawn, drawn.other].filter((h) => !!h).map((heat) => ({ heat, lots: byLot(heat) })), [drawn]);
  const [low, high] = useMemo(() => valuesOf(sides.map((s) => s.heat)), [sides]);
  const time = view.cursor.value?.time ?? view.pinned.value;
  const found = sides.map(({ heat, lots }) => distribution(heat, lots, time === null ? null : lotAt(heat, time)));
  const dark = view.dark.value;
  const axis: Axis = { low, high, width, height, unit };
  useEffect(() => draw(canvas.current!, axis, found, dark));
  const names = view.inputs.value.map((i) => i.name);
  const move = (event: PointerEvent) => {
    const x = event.clientX - canvas.current!.getBoundingClientRect().left;
    const share = (x - ROOM.left) / (width - ROOM.left - ROOM.right);
    point(share >= 0 && share <= 1 ? low * (high / low) ** share : null);
  };
  return (
    <div class="plot">
      <canvas ref={canvas} role="img" aria-label={`${title}: how values are distributed; their quantiles follow`} onPointerMove={move} onPointerLeave={() => point(null)} />
      {pointed !== null && <Below at={pointed} found={found} names={names} unit={unit} x={place(axis, pointed)} width={width} />}
      <p class="note instant" aria-live="off">
        {time === null ? 'all that is on screen' : `at ${formatTime(time, 1)}`}
        {time === null && <i> · point at a chart, or click one to keep an instant</i>}
      </p>
      <ul class="marks">
        {found.map((counts, side) => (
          <li key={side}>
            {found.length > 1 && (
              <b>
                <i class="swatch" style={{ background: seriesColor(side, dark) }} /> {names[side]}
              </b>
            )}
            {counts
              ? counts.marks.map(({ q, value }) => (
                  <b key={q}>
                    <span>{q === 1 ? 'at most' : quantileName(q)}</span> {formatValue(value, unit)}
                  </b>
                ))
              : 'nothing was counted'}
          </li>
        ))}
      </ul>
    </div>
  );
}

interface BelowProps {
  at: number;
  found: (Counts | null)[];
  names: string[];
  unit: string;
  x: number;
  width: number;
}

/** The bucket that is pointed at. */
function Below({ at, found, names, unit, x, width }: BelowProps) {
  const beside = x > width / 2 ? { right: `${width - x + 12}px` } : { left: `${x + 12}px` };
  const rows = found.flatMap((counts, side) => {
    const bar = counts?.bars.find((b) => b.low <= at && at < b.high);
    return counts ? [{ name: found.length > 1 ? names[side] : '', bar, below: shareBelow(counts, at) }] : [];
  });
  return (
    <div class="tooltip" style={{ ...beside, top: '16px' }}>
      <div class="when">{formatValue(at, unit)}</div>
      {rows.map(({ name, bar, below }) => (
        <div key={name}>
          {name} {bar ? `${formatValue(bar.low, unit)} to ${formatValue(bar.high, unit)}: ${formatValue(100 * bar.share, 'percent')}, ` : ''}
          at or below {formatValue(100 * below, 'percent')}
        </div>
      ))}
    </div>
  );
}

interface Axis extends Size {
  low: number;
  high: number;
  unit: string;
}

function place({ low, high, width }: Axis, value: number): number {
  const share = Math.log(Math.max(value, low) / low) / Math.log(high / low);
  return ROOM.left + share * (width - ROOM.left - ROOM.right);
}

function draw(canvas: HTMLCanvasElement, axis: Axis, found: (Counts | null)[], dark: boolean) {
  const context = fitted(canvas, axis);
  const { height, width } = axis;
  const foot = height - ROOM.bottom;
  // Room for the names of the marks.
  const top = ROOM.top + 14;
  context.font = FONT;
  context.textBaseline = 'top';
  context.textAlign = 'center';
  const ticks = logTicks(axis.low, axis.high, axis.unit);
  let behind = -Infinity;
  for (const { value, label } of ticks) {
    const x = place(axis, value);
    context.fillStyle = css('--grid');
    context.fillRect(x, ROOM.top, 1, foot - ROOM.top);
    const half = context.measureText(label).width / 2;
    if (x - half < behind + 8 || x + half > width) continue;
    context.fillStyle = css('--muted');
    context.fillText(label, x, foot + 6);
    behind = x + half;
  }
  const highest = Math.max(0, ...found.flatMap((c) => c?.bars.map((b) => b.density) ?? []));
  const y = (density: number) => foot - (density / highest) * (foot - top);
  found.forEach((counts, side) => {
    if (!counts) return;
    const color = seriesColor(side, dark);
    outline(context, axis, counts, y, foot);
    context.fillStyle = `${color}${found.length > 1 ? '55' : '99'}`;
    context.fill();
    context.strokeStyle = color;
    context.lineWidth = 1;
    context.stroke();
    marks(context, axis, counts, found.length > 1 ? color : css('--text'), foot, side);
  });
}

/** The bars as one shape; buckets without a count go down to the foot. */
function outline(context: CanvasRenderingContext2D, axis: Axis, { bars }: Counts, y: (density: number) => number, foot: number) {
  context.beginPath();
  for (const { low, high, density } of bars) {
    const [from, to] = [place(axis, low), place(axis, high)];
    context.rect(from, y(density), Math.max(1, to - from), foot - y(density));
  }
}

function marks(context: CanvasRenderingContext2D, axis: Axis, { marks }: Counts, color: string, foot: number, side: number) {
  let behind = -Infinity;
  context.strokeStyle = color;
  context.fillStyle = color;
  context.lineWidth = 1;
  context.setLineDash(side ? [2, 3] : [4, 3]);
  for (const { q, value } of marks) {
    const x = Math.round(place(axis, value)) + 0.5;
    context.beginPath();
    context.moveTo(x, ROOM.top + 12);
    context.lineTo(x, foot);
    context.stroke();
    const half = context.measureText(quantileName(q)).width / 2;
    // Names of A only where B has its own: they would be over each other.
    if (side || x - half < behind + 4) continue;
    context.fillText(quantileName(q), Math.min(x, axis.width - half), ROOM.top - 4);
    behind = x + half;
  }
  context.setLineDash([]);
}
