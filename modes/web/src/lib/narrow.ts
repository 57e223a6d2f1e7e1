/** Charts of cgroups, for some of them: those that are chosen, and the others added up. */

import { tokens, type Token } from './promql/tokens';

/** In place of the name of those that are not chosen. */
export const OTHER = 'other';

const quoted = (name: string) =>
  name
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"');

/** Replaces `[from, to)` by a text. */
type Edit = [from: number, to: number, text: string];

function edited(query: string, edits: Edit[]): string {
  let out = query;
  for (const [from, to, text] of [...edits].sort((a, b) => b[0] - a[0])) out = out.slice(0, from) + text + out.slice(to);
  return out;
}

/** The tokens that mean something, and their text. */
function read(query: string) {
  const all = tokens(query).filter((t) => t.kind !== 'comment');
  return { all, text: (i: number) => (all[i] ? query.slice(all[i].from, all[i].to) : '') };
}

const isCgroup = (token: Token, query: string) => token.kind === 'metric' && query.startsWith('cgroup_', token.from);

/** Adds a matcher to selectors of metrics whose name begins with `cgroup_`. */
function matched(query: string, matcher: string): string {
  const { all, text } = read(query);
  const edits = all.flatMap((token, i): Edit[] => {
    if (!isCgroup(token, query)) return [];
    if (text(i + 1) !== '{') return [[token.to, token.to, `{${matcher}}`]];
    const inside = all[i + 1]!.to;
    return [[inside, inside, text(i + 2) === '}' ? matcher : `${matcher},`]];
  });
  return edited(query, edits);
}

/** Without `topk(10, …)`: what is chosen is shown whatever it has. */
function untopped(query: string): string {
  const { all, text } = read(query);
  const edits = all.flatMap((token, i): Edit[] => {
    const top = token.kind === 'aggregation' && /^(topk|bottomk|limitk)$/i.test(text(i));
    return top && text(i + 1) === '(' && all[i + 2]?.kind === 'number' && text(i + 3) === ',' ? [[token.from, all[i + 3]!.to, '(']] : [];
  });
  return edited(query, edits);
}

/** Without `name` among what is grouped by; null if nothing is grouped by it. */
function ungrouped(query: string): string | null {
  const { all, text } = read(query);
  const edits: Edit[] = [];
  for (let i = 0; i < all.length; i++) {
    if (text(i).toLowerCase() !== 'by' || text(i + 1) !== '(') continue;
    const end = all.findIndex((t, k) => k > i && query.slice(t.from, t.to) === ')');
    if (end < 0) return null;
    const labels = all.slice(i + 2, end).filter((t) => t.kind === 'label').map((t) => query.slice(t.from, t.to));
    if (labels.includes('name')) edits.push([all[i + 1]!.to, all[end]!.from, labels.filter((l) => l !== 'name').join(', ')]);
  }
  return edits.length ? edited(query, edits) : null;
}

/** The query for some cgroups; without names, as it is. */
export function narrow(query: string, names: string[]): string {
  if (!names.length || !read(query).all.some((t) => isCgroup(t, query))) return query;
  return matched(untopped(query), `name=~"${names.map(quoted).join('|')}"`);
}

/** The query for all other cgroups together, where it is one by cgroup; else null. A quotient is that of the sums. */
export function rest(query: string, names: string[]): string | null {
  if (!names.length || !read(query).all.some((t) => isCgroup(t, query))) return null;
  const whole = ungrouped(untopped(query));
  return whole && matched(whole, `name!~"${names.map(quoted).join('|')}"`);
}

interface Asked {
  query: string;
  legend: string;
}

/** Queries for the cgroups that are chosen, and where it is wanted for the others. */
export function ofCgroups<T extends Asked>(queries: T[], names: string[], others: boolean): T[] {
  if (!names.length) return queries;
  return queries.flatMap((asked): T[] => {
    const chosen = { ...asked, query: narrow(asked.query, names) };
    const query = others ? rest(asked.query, names) : null;
    if (query === null) return [chosen];
    const named = asked.legend.replace(/\{\{\s*name\s*\}\}/g, OTHER);
    return [chosen, { ...asked, query, legend: named === asked.legend ? `${asked.legend} ${OTHER}`.trim() : named }];
  });
}
