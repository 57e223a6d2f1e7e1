import { useEffect, useState } from 'preact/hooks';
import { Spark } from '../components/Spark';
import type { Metric } from '../api/types';
import { loadMetrics } from '../state/load';
import * as view from '../state/view';

const MOST = 200;

/** Labels that every series has: only where they tell series apart are they worth a word. */
const OF_ALL = new Set(['source', 'sampler', 'unit', 'endpoint']);

const text = (m: Metric) =>
  `${m.name} ${m.type} ${m.unit} ${m.help} ${m.sampler} ${Object.keys(m.labels).join(' ')}`.toLowerCase();

/** A query that says something about a metric of each type. */
export function sensible(metric: Metric): string {
  if (metric.type === 'histogram') return `sum(rate(${metric.name}[$interval]))`;
  return metric.type === 'counter' ? `sum(rate(${metric.name}[$interval]))` : `sum(${metric.name})`;
}

export function MetricsPage() {
  const [find, setFind] = useState('');
  const [failed, setFailed] = useState('');
  useEffect(() => {
    loadMetrics().catch((error: Error) => setFailed(error.message));
  }, [view.metrics.value === null]);
  const all = view.metrics.value ?? [];
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter((m) => words.every((w) => text(m).includes(w)));
  return (
    <>
      <div class="head">
        <h1>Metrics</h1>
        <input
          class="find"
          type="search"
          placeholder="find by name, label, unit, text"
          aria-label="find metrics"
          value={find}
          onInput={(e) => setFind(e.currentTarget.value)}
        />
        <span class="note" role="status">
          {found.length} of {all.length}
        </span>
      </div>
      {failed && (
        <p class="error" role="alert">
          {failed}
        </p>
      )}
      <ul class="metrics">
        {found.slice(0, MOST).map((m) => (
          <MetricRow key={m.name} metric={m} />
        ))}
      </ul>
      {found.length > MOST && <p class="note">Type more to see the other {found.length - MOST}.</p>}
    </>
  );
}

function MetricRow({ metric }: { metric: Metric }) {
  const explore = () => view.explore([{ query: sensible(metric) }]);
  return (
    <li class="card metric">
      <div class="about">
        <button class="name" onClick={explore}>
          {metric.name}
        </button>
        <span class={`kind ${metric.type}`}>{metric.type}</span>
        <span class="unit">{metric.unit}</span>
        <p>{metric.help}</p>
        <p class="labels">
          {Object.entries(metric.labels)
            .filter(([key, values]) => !OF_ALL.has(key) || values.length > 1)
            .map(([key, values]) => (
              <span key={key} title={values.join(', ')}>
                {key} <i>{values.length > 3 ? `${values.slice(0, 3).join(', ')} … ${values.length}` : values.join(', ')}</i>
              </span>
            ))}
        </p>
        <p class="note">{[metric.sampler, metric.provenance, `${metric.series} series`].filter(Boolean).join(' · ')}</p>
      </div>
      <Spark query={metric.type === 'histogram' ? `histogram_count(${sensible(metric)})` : sensible(metric)} />
    </li>
  );
}
