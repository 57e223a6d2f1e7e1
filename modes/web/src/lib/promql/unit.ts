/** The unit that a query's result probably has, by the metrics it asks for. */

import { metricNames } from '../promql';
import { tokens } from './tokens';

interface Metric {
  name: string;
  type: string;
  unit: string;
}

const RATES = new Set(['rate', 'irate', 'increase', 'deriv']);
const KNOWN = new Set(['percent', 'bytes', 'nanoseconds', 'seconds', 'hertz']);

/** One of dashboards' units; `count` where it cannot be told. */
export function unitOf(query: string, metrics: Metric[]): string {
  if (/^\s*100\s*\*/.test(query)) return 'percent';
  const known = { metrics: metrics.map((m) => ({ ...m, help: '', labels: {} })) };
  const named = metricNames(query, known).map((name) => metrics.find((m) => m.name === name)!);
  const units = new Set(named.map((m) => m.unit));
  const [unit] = units;
  if (units.size !== 1 || unit === undefined) return 'count';
  const whole = named.every((m) => m.type === 'histogram') && !/\bhistogram_\w+\s*\(/.test(query);
  // Histograms are drawn by their values.
  if (whole) return KNOWN.has(unit) ? unit : 'count';
  const words = tokens(query).filter((t) => t.kind === 'function').map((t) => query.slice(t.from, t.to));
  // A quotient of equal units has none; one by a number may be in another.
  const divided = tokens(query).some((t) => t.kind === 'operator' && query[t.from] === '/');
  const rated = words.some((w) => RATES.has(w));
  if (words.includes('histogram_count')) return rated && !divided ? 'events/s' : 'count';
  if (words.some((w) => w.startsWith('histogram_'))) return KNOWN.has(unit) && !divided ? unit : 'count';
  if (rated && unit === 'nanoseconds') return /\/\s*1e9\s*\)*\s*$/.test(query) ? 'cores' : 'count';
  if (divided) return 'count';
  if (rated && !words.includes('increase')) return unit === 'bytes' ? 'bytes/s' : 'events/s';
  return KNOWN.has(unit) ? unit : 'count';
}
