/** PromQL as the page needs it: colours, completion, variables. What a query means is the server's. */

import { complete, type Completion, type Known, type Metric, type Option } from './promql/complete';
import { closed, tokens, type Token, type TokenKind } from './promql/tokens';

export { complete, tokens };
export type { Completion, Known, Metric, Option, Token, TokenKind };

/** The query with `$name` replaced by values, whole words only and not in strings or comments; others stay. */
export function fill(query: string, variables: Record<string, string>): string {
  let text = '';
  let done = 0;
  for (const { from, to, kind } of tokens(query)) {
    const name = query.slice(from + 1, to);
    if (kind !== 'variable' || !Object.hasOwn(variables, name)) continue;
    text += query.slice(done, from) + variables[name]!;
    done = to;
  }
  return text + query.slice(done);
}

/** Which known metrics a query asks for by name, in its order, each once. */
export function metricNames(query: string, known: Known): string[] {
  const names = new Set(known.metrics.map((metric) => metric.name));
  const all = tokens(query);
  const text = (i: number): string => (all[i] ? query.slice(all[i].from, all[i].to) : '');
  const found = all.map((token, i) => {
    if (token.kind === 'metric') return text(i);
    if (token.kind !== 'string' || !closed(query, token)) return '';
    const named = text(i - 1) === '=' && text(i - 2) === '__name__';
    const bare = (text(i - 1) === '{' || text(i - 1) === ',') && (text(i + 1) === '}' || text(i + 1) === ',');
    return named || bare ? query.slice(token.from + 1, token.to - 1) : '';
  });
  return [...new Set(found)].filter((name) => names.has(name));
}

const GUESS = /^PromQL info: metric might not be a counter.*"([^"]+)"/;

/** Without what is guessed from names of metrics that are known to be counters. */
export const unknown = (infos: string[], counters: ReadonlySet<string>) => infos.filter((text) => !counters.has(GUESS.exec(text)?.[1] ?? ''));
