import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import { ChartCard } from '../components/ChartCard';
import { Picker } from '../components/Picker';
import { QueryInput } from '../components/QueryInput';
import { unitOf } from '../lib/promql/unit';
import { addTo } from '../state/extra';
import { loadMetrics } from '../state/load';
import { pin } from '../state/notebook';
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

const KINDS: [Chart['kind'], string][] = [
  ['line', 'lines'],
  ['stacked', 'stacked'],
  ['heatmap', 'heatmap'],
  ['percentiles', 'percentiles'],
];

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
    if (query) remember([query, ...history.filter((h) => h !== query)].slice(0, MOST));
  };
  const remember = (next: string[]) => {
    setHistory(next);
    localStorage.setItem(KEPT, JSON.stringify(next));
  };
  const remove = (at: number) =>
    view.explore(
      list.flatMap((query, i) => (i === at ? [] : [{ query, legend: view.drawOf(i)[2] ?? '' }])),
      view.drawOf(0)[0],
      view.drawOf(0)[1],
    );
  return (
    <>
      <div class="head">
        <h1>Explorer</h1>
        <button onClick={() => (view.queries.value = [...list, ''])}>Add a query</button>
        <span class="note">Enter asks, Tab completes, ↑ brings back what was asked before</span>
      </div>
      {list.map((query, at) => (
        <Asked
          key={at}
          at={at}
          query={query}
          history={history}
          set={(q) => set(at, q)}
          remove={list.length > 1 ? () => remove(at) : undefined}
        />
      ))}
      {!view.queries.value.length && <Beginnings />}
      {history.length > 0 && (
        <section class="group">
          <h2>Asked before</h2>
          <ul class="history">
            {history.map((query) => (
              <li key={query}>
                <button onClick={() => set(list.length - 1, query)}>
                  <code>{query}</code>
                </button>
                <button class="icon" aria-label={`forget ${query}`} onClick={() => remember(history.filter((h) => h !== query))}>
                  ×
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** The first chart of each page, as something to begin with. */
function Beginnings() {
  const charts = new Map<string, Chart>();
  for (const { groups } of view.dashboards.value) {
    const chart = groups.flatMap((g) => g.charts).find((c) => !c.missing && c.kind !== 'percentiles' && !charts.has(c.title));
    if (chart) charts.set(chart.title, chart);
  }
  if (!charts.size) return null;
  return (
    <section class="group">
      <h2>To begin with</h2>
      <ul class="history beginnings">
        {[...charts.values()].map((chart) => (
          <li key={chart.title}>
            <button onClick={() => view.explore(chart.queries, chart.kind, chart.unit)}>
              {chart.title} <code>{chart.queries[0]!.query}</code>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface AskedProps {
  at: number;
  query: string;
  history: string[];
  set: (query: string) => void;
  remove: (() => void) | undefined;
}

function Asked({ at, query, history, set, remove }: AskedProps) {
  const [kind = 'line', unit = '', legend = ''] = view.drawOf(at);
  const guessed = useMemo(() => unitOf(query, view.metrics.value ?? []), [query, view.metrics.value]);
  const chart = useMemo<Chart>(
    () => ({ title: query, kind: kind as Chart['kind'], unit: unit || guessed, queries: [{ query, legend }] }),
    [query, kind, unit, guessed, legend],
  );
  return (
    <section class="asked" aria-label={`query ${at + 1}`}>
      <div class="ask">
        <QueryInput query={query} history={history} run={set} />
        <select aria-label="drawn as" value={kind} onChange={(e) => view.draw(at, [e.currentTarget.value, unit, legend])}>
          {KINDS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
        <select aria-label="unit" value={unit} onChange={(e) => view.draw(at, [kind, e.currentTarget.value, legend])}>
          <option value="">{guessed} (auto)</option>
          {[...new Set([...UNITS, ...(unit ? [unit] : [])])].map((u) => (
            <option key={u}>{u}</option>
          ))}
        </select>
        {query && <AddChart key={query} chart={chart} />}
        {remove && (
          <button aria-label="remove this query" onClick={remove}>
            ×
          </button>
        )}
      </div>
      {query && <ChartCard key={`${query} ${kind}`} id={`explore/${at}`} chart={chart} height={320} heading="h2" />}
    </section>
  );
}

const NOTEBOOK = '';

/** Puts the chart onto a page of this browser, or into the notebook. */
function AddChart({ chart }: { chart: Chart }) {
  const [title, setTitle] = useState(chart.title);
  const [to, setTo] = useState(NOTEBOOK);
  const [said, say] = useState('');
  const add = () => {
    const named = { ...chart, title: title.trim() || chart.title };
    if (to === NOTEBOOK) pin(named, []);
    else addTo(to, named);
    say('Added.');
  };
  return (
    <Picker summary="Add to…" onToggle={() => say('')}>
      <form
        class="sheet"
        onSubmit={(e) => {
          e.preventDefault();
          add();
        }}
      >
        <label class="wide">
          title
          <input value={title} onInput={(e) => setTitle(e.currentTarget.value)} />
        </label>
        <label class="wide">
          to
          <select value={to} onChange={(e) => setTo(e.currentTarget.value)}>
            <option value={NOTEBOOK}>the notebook</option>
            {view.dashboards.value.map((d) => (
              <option key={d.id} value={d.id}>
                {d.title}
              </option>
            ))}
          </select>
        </label>
        <button class="main">Add</button> <span role="status">{said}</span>
      </form>
    </Picker>
  );
}
