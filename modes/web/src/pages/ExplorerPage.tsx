import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import { ChartCard } from '../components/ChartCard';
import { QueryInput } from '../components/QueryInput';
import { loadMetrics } from '../state/load';
import * as view from '../state/view';

const KEPT = 'rezolus.history';
const MOST = 50;

function kept(): string[] {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? '[]');
  } catch {
    return [];
  }
}

const UNITS = ['count', 'percent', 'cores', 'bytes', 'bytes/s', 'operations/s', 'events/s', 'nanoseconds', 'seconds', 'hertz'];

/** Queries of one's own: each as a chart with its errors under it. */
export function ExplorerPage() {
  const [history, setHistory] = useState(kept);
  const list = view.queries.value.length ? view.queries.value : [''];
  useEffect(() => {
    loadMetrics().catch(() => undefined);
  }, [view.metrics.value === null]);
  const set = (at: number, query: string) => {
    view.queries.value = list.map((q, i) => (i === at ? query : q));
    if (!query) return;
    const next = [query, ...history.filter((h) => h !== query)].slice(0, MOST);
    setHistory(next);
    localStorage.setItem(KEPT, JSON.stringify(next));
  };
  return (
    <>
      <div class="head">
        <h1>Explorer</h1>
        <button onClick={() => (view.queries.value = [...list, ''])}>Add a query</button>
      </div>
      {list.map((query, at) => (
        <Asked
          key={at}
          at={at}
          query={query}
          set={(q) => set(at, q)}
          remove={list.length > 1 ? () => (view.queries.value = list.filter((_, i) => i !== at)) : undefined}
        />
      ))}
      {history.length > 0 && (
        <section class="group">
          <h2>Asked before</h2>
          <ul class="history">
            {history.map((query) => (
              <li key={query}>
                <button onClick={() => set(list.length - 1, query)}>
                  <code>{query}</code>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

interface AskedProps {
  at: number;
  query: string;
  set: (query: string) => void;
  remove: (() => void) | undefined;
}

function Asked({ at, query, set, remove }: AskedProps) {
  const [unit, setUnit] = useState('count');
  const [kind, setKind] = useState<Chart['kind']>('line');
  const chart = useMemo<Chart>(() => ({ title: 'Result', kind, unit, queries: [{ query, legend: '' }] }), [query, unit, kind]);
  return (
    <section class="asked" aria-label={`query ${at + 1}`}>
      <div class="ask">
        <QueryInput query={query} run={set} />
        <select aria-label="drawn as" value={kind} onChange={(e) => setKind(e.currentTarget.value as Chart['kind'])}>
          <option value="line">lines</option>
          <option value="stacked">stacked</option>
          <option value="heatmap">heatmap</option>
        </select>
        <select aria-label="unit" value={unit} onChange={(e) => setUnit(e.currentTarget.value)}>
          {UNITS.map((u) => (
            <option key={u}>{u}</option>
          ))}
        </select>
        {remove && (
          <button aria-label="remove this query" onClick={remove}>
            ×
          </button>
        )}
      </div>
      {query && <ChartCard key={`${query} ${kind}`} id={`explore/${at}`} chart={chart} height={320} />}
    </section>
  );
}
