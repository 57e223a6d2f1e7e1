import { useEffect, useMemo, useState } from 'preact/hooks';
import { getDifferences } from '../api/client';
import type { Difference } from '../api/types';
import { nameOf, queryOf, rank, type Ranked, type Sort } from '../lib/compare';
import { formatValue } from '../lib/units';
import * as view from '../state/view';

const MOST = 300;

type Key = 'weight' | 'name' | 'a' | 'b' | 'change' | 'ratio';

const SORTS: [Sort, string][] = [
  ['both', 'in both'],
  ['zero', 'from or to zero'],
  ['alone', 'in one only'],
];

/** What differs most between A and B over what is on screen. */
export function ComparePage() {
  const { rows, truncated, failed, loading } = useDifferences();
  const [find, setFind] = useState('');
  const [sort, setSort] = useState<Sort>('both');
  const [order, setOrder] = useState<{ by: Key; up: boolean }>({ by: 'weight', up: false });
  const ranked = useMemo(() => rank(rows), [rows]);
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = ranked.filter((r) => words.every((w) => `${nameOf(r)} ${r.type} ${r.unit}`.toLowerCase().includes(w)));
  const listed = sorted(matching.filter((r) => r.sort === sort), order);
  const head = (key: Key, text: string) => (
    <th scope="col" aria-sort={order.by === key ? (order.up ? 'ascending' : 'descending') : 'none'}>
      <button onClick={() => setOrder({ by: key, up: order.by === key ? !order.up : key === 'name' })}>
        {text} {order.by === key ? (order.up ? '▲' : '▼') : ''}
      </button>
    </th>
  );
  const [a, b] = view.inputs.value;
  return (
    <>
      <div class="head">
        <h1>Compare</h1>
        <input
          class="find"
          type="search"
          placeholder="find by name, label, type, unit"
          aria-label="find among differences"
          value={find}
          onInput={(e) => setFind(e.currentTarget.value)}
        />
        <div class="buttons" role="group" aria-label="which">
          {SORTS.map(([s, text]) => (
            <button key={s} class={s === sort ? 'on' : ''} aria-pressed={s === sort} onClick={() => setSort(s)}>
              {text} {matching.filter((r) => r.sort === s).length}
            </button>
          ))}
        </div>
        <span class="note" role="status">
          {loading ? 'asking…' : truncated ? 'only those that differ most' : ''}
        </span>
      </div>
      <p class="note">
        What is on screen: counters as their rate per second, gauges as their mean, histograms as their p99. {a?.name} against{' '}
        {b?.name}, aligned as the charts are.
      </p>
      {failed && (
        <p class="error" role="alert">
          {failed}
        </p>
      )}
      <div class="scroll card" tabIndex={0} role="group" aria-label="differences" aria-busy={loading}>
        <table class="differences">
          <thead>
            <tr>
              {head('name', 'metric')}
              {head('a', a?.name ?? 'A')}
              {head('b', b?.name ?? 'B')}
              {head('change', 'difference')}
              {head('ratio', 'ratio')}
              {head('weight', 'how far')}
            </tr>
          </thead>
          <tbody>
            {listed.slice(0, MOST).map((row) => (
              <Row key={nameOf(row)} row={row} />
            ))}
          </tbody>
        </table>
        {!listed.length && !loading && <p class="said">None.</p>}
      </div>
      {listed.length > MOST && <p class="note">Type more to see the other {listed.length - MOST}.</p>}
    </>
  );
}

function useDifferences() {
  const [found, setFound] = useState<{ rows: Difference[]; truncated: boolean }>({ rows: [], truncated: false });
  const [failed, setFailed] = useState('');
  const [loading, setLoading] = useState(true);
  const { start, end } = view.range.value;
  const { offset } = view.compare.value;
  useEffect(() => {
    const abort = new AbortController();
    setLoading(true);
    const ask = async () => {
      try {
        setFound(await getDifferences(start, end, offset, abort.signal));
        setFailed('');
      } catch (error) {
        if (abort.signal.aborted) return;
        setFailed((error as Error).message);
      }
      setLoading(false);
    };
    // Everything is read for it: only where zooming comes to rest.
    const timer = setTimeout(ask, 250);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [start, end, offset]);
  return { ...found, failed, loading };
}

function sorted(rows: Ranked[], { by, up }: { by: Key; up: boolean }): Ranked[] {
  // That order is the one they have.
  if (by === 'weight') return up ? [...rows].reverse() : rows;
  const sign = up ? 1 : -1;
  if (by === 'name') return [...rows].sort((x, y) => sign * nameOf(x).localeCompare(nameOf(y)));
  const value = (row: Ranked) => row[by] ?? NaN;
  return [...rows].sort((x, y) => {
    const [p, q] = [value(x), value(y)];
    // What there is none of comes last either way.
    return Number.isNaN(p) || Number.isNaN(q) ? +Number.isNaN(p) - +Number.isNaN(q) : sign * (p - q);
  });
}

/** As far to either side as the logarithm of the ratio; 16 times is as far as it goes. */
function Bar({ ratio }: { ratio: number }) {
  if (Number.isNaN(ratio)) return null;
  const share = Math.min(1, Math.abs(Math.log2(ratio)) / 4) * 50;
  const side = ratio > 1 ? { left: '50%' } : { right: '50%' };
  return (
    <span class="far" aria-hidden="true">
      <i class={ratio > 1 ? 'more' : 'less'} style={{ ...side, width: `${share}%` }} />
    </span>
  );
}

function Row({ row }: { row: Ranked }) {
  const text = (value: number | null) => (value === null || Number.isNaN(value) ? '–' : valueText(value, row));
  const explore = () => view.explore([{ query: queryOf(row) }]);
  return (
    <tr>
      <th scope="row">
        <button onClick={explore} title="open in the explorer">
          {row.metric}
          {Object.entries(row.labels).map(([key, value]) => (
            <span key={key}>
              {key}={value}
            </span>
          ))}
        </button>
        {row.of === 'p99' && <i> p99</i>}
      </th>
      <td>{text(row.a)}</td>
      <td>{text(row.b)}</td>
      <td>{text(row.change)}</td>
      <td>{Number.isNaN(row.ratio) ? '–' : `${+row.ratio.toPrecision(3)} ×`}</td>
      <td>
        <Bar ratio={row.ratio} />
      </td>
    </tr>
  );
}

function valueText(value: number, { of, unit }: Ranked): string {
  if (of !== 'rate') return formatValue(value, unit);
  if (unit === 'nanoseconds') return `${formatValue(value, unit)}/s`;
  return formatValue(value, unit === 'bytes' ? 'bytes/s' : 'events/s');
}
