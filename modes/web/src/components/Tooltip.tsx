import { useLayoutEffect, useRef } from 'preact/hooks';
import { lotAt, totalOf, type Drawn, type Heat, type Lines } from '../lib/drawn';
import { byLot, MARKED, quantileName, quantilesOf } from '../lib/histogram';
import { seriesColor } from '../lib/palette';
import { formatTime } from '../lib/time';
import { formatValue } from '../lib/units';
import * as view from '../state/view';
import { ROOM } from './frame';

interface Props {
  id: string;
  drawn: Drawn;
  heat: boolean;
  stacked: boolean;
  unit: string;
  only: Set<string> | null;
  width: number;
  height: number;
}

interface Row {
  label: string;
  value: string;
  color?: string;
  more?: string;
}

const MOST = 14;
/** From the crosshair (px). */
const APART = 12;

/** All values at the crosshair, greatest first, beside it. */
export function Tooltip({ id, drawn, heat, stacked, unit, only, width, height }: Props) {
  const at = view.cursor.value;
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (root.current) keepOnScreen(root.current);
  });
  if (!at || at.chart !== id) return null;
  const { start, end } = view.range.value;
  const lot = lotAt(drawn, at.time);
  if (lot < 0 || lot >= drawn.count) return null;
  const rows = drawn.kind === 'heat' ? spread(drawn, lot, unit) : values(drawn, lot, unit, heat, only);
  if (drawn.kind === 'lines' && stacked && !heat && rows.length > 1) rows.unshift(...totals(drawn, lot, unit, only));
  const x = ROOM.left + ((at.time - start) / (end - start)) * (width - ROOM.left - ROOM.right);
  const hidden = rows.length - MOST;
  return (
    <div ref={root} class="tooltip" style={{ left: `${x + APART}px`, top: `${Math.min(16, height / 4)}px` }}>
      <div class="when">{formatTime(drawn.start + lot * drawn.step, Math.min(drawn.step, 1))}</div>
      <table>
        {rows.some((row) => row.more) && (
          <thead>
            <tr>
              <th colSpan={2} />
              <th>mean</th>
              <th>min – max</th>
            </tr>
          </thead>
        )}
        <tbody>
          {rows.slice(0, MOST).map((row) => (
            <tr key={row.label}>
              <td class="swatch">{row.color && <i style={{ background: row.color }} />}</td>
              <td class="name">{row.label}</td>
              <td class="value">{row.value}</td>
              <td class="more">{row.more}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {hidden > 0 && <div class="when">and {hidden} more</div>}
      {rows.length === 0 && <div class="when">no value</div>}
    </div>
  );
}

/** On the other side of the crosshair where the screen ends; over it where there is no room on either. */
function keepOnScreen(tooltip: HTMLElement) {
  tooltip.style.translate = '';
  const { left, right, bottom, width } = tooltip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - 4;
  const x = right > room ? Math.max(4 - left, -width - 2 * APART) : 0;
  const y = Math.min(0, innerHeight - 4 - bottom);
  if (x || y) tooltip.style.translate = `${x}px ${y}px`;
}

function values(drawn: Lines, lot: number, unit: string, heat: boolean, only: Set<string> | null): Row[] {
  const two = drawn.lines.some((l) => l.side);
  const names = view.inputs.value.map((i) => i.name);
  return drawn.lines
    .filter((line) => (!only || only.has(line.key)) && !Number.isNaN(line.mean[lot]!))
    .sort((a, b) => b.mean[lot]! - a.mean[lot]!)
    .map((line) => {
      const low = line.least?.[lot];
      const high = line.greatest?.[lot];
      const wide = low !== undefined && high !== undefined && high - low > 0;
      return {
        label: two ? `${line.label} · ${names[line.side] ?? ''}` : line.label,
        value: formatValue(line.mean[lot]!, unit),
        ...(heat ? {} : { color: seriesColor(line.color, view.dark.value) }),
        ...(wide ? { more: `${formatValue(low, unit)} – ${formatValue(high, unit)}` } : {}),
      };
    });
}

/** What is stacked, added up: how far its ticks went is more than its mean says. */
function totals(drawn: Lines, lot: number, unit: string, only: Set<string> | null): Row[] {
  const two = drawn.lines.some((l) => l.side);
  return (two ? [0, 1] : [0]).flatMap((side): Row[] => {
    const total = totalOf(drawn, side, only);
    if (!total || Number.isNaN(total.mean[lot]!)) return [];
    const name = two ? `total · ${view.inputs.value[side]?.name ?? ''}` : 'total';
    const reach = `${formatValue(total.least[lot]!, unit)} – ${formatValue(total.greatest[lot]!, unit)}`;
    return [{ label: name, value: formatValue(total.mean[lot]!, unit), more: total.exact ? reach : `within ${reach}` }];
  });
}

/** A distribution in a few numbers. */
function spread(heat: Heat, lot: number, unit: string): Row[] {
  const list = byLot(heat).get(lot);
  if (!list) return [];
  const values = quantilesOf(list, heat.bounds, MARKED);
  const rows = MARKED.map((q, k) => ({ label: q === 1 ? 'at most' : quantileName(q), value: formatValue(values[k]!, unit) }));
  const total = list.reduce((sum, [, n]) => sum + n, 0);
  return [...rows.reverse(), { label: 'counted', value: formatValue(total, 'events/s') }];
}
