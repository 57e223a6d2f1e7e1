/** What could be written at the cursor. */

import { closed, tokens, type Token } from './tokens';
import {
  AGGREGATIONS, DURATIONS, FUNCTIONS, GROUPING, JOINING, LABELLED, MATCHING, MODIFIERS, OPERATORS,
} from './words';

export interface Metric {
  name: string;
  type: string;
  help: string;
  /** Values by label. */
  labels: Record<string, string[]>;
}

/** What there is to ask about. */
export interface Known {
  metrics: Metric[];
}

export interface Option {
  /** What replaces `from` to `to` of the completion. */
  text: string;
  kind: 'metric' | 'function' | 'aggregation' | 'keyword' | 'operator' | 'label' | 'value' | 'duration';
  detail: string;
}

export interface Completion {
  from: number;
  to: number;
  options: Option[];
}

/** More are not read by anybody. */
const MOST = 200;

/** 0 if the option begins with what was typed, 1 if a word in it does, 2 if it is in it somewhere, -1 if not. */
function rank(option: string, typed: string): number {
  const [text, part] = [option.toLowerCase(), typed.toLowerCase()];
  const at = text.indexOf(part);
  if (at <= 0) return at;
  return text.includes(`_${part}`) ? 1 : 2;
}

/** Those that fit what was typed, the best first, else in the order they had. */
function fitting(options: Option[], typed: string): Option[] {
  const ranked = options.map((option) => ({ option, rank: rank(option.text.replace(/^["'`]/, ''), typed) }));
  return ranked.filter((r) => r.rank >= 0).sort((a, b) => a.rank - b.rank).slice(0, MOST).map((r) => r.option);
}

/** The text cut at the cursor, as far as rules need it. */
interface Place {
  text: string;
  known: Known;
  all: Token[];
  /** Index of the first token that is not wholly before what is typed. */
  at: number;
}

function word(place: Place, i: number): string {
  const token = place.all[i];
  return token ? place.text.slice(token.from, token.to) : '';
}

/** Index of the bracket that is open before token `at`, or -1; if that closes one, the one it closes. */
function opening(place: Place, at: number): number {
  let depth = 0;
  for (let i = at - 1; i >= 0; i--) {
    if (place.all[i]!.kind !== 'bracket') continue;
    if (')]}'.includes(word(place, i))) depth++;
    else if (depth-- === 0) return i;
  }
  return -1;
}

function byName(known: Known, names: string[]): Metric[] {
  const found = known.metrics.filter((metric) => names.includes(metric.name));
  return found.length > 0 ? found : known.metrics;
}

/** The name of the metric whose matchers begin with the brace at `brace`; `all` ones if there is none. */
function selected(place: Place, brace: number): Metric[] {
  if (place.all[brace - 1]?.kind === 'metric') return byName(place.known, [word(place, brace - 1)]);
  for (let i = brace + 1; i < place.all.length && word(place, i) !== '}'; i++) {
    const [label, operator, value] = [word(place, i), word(place, i + 1), word(place, i + 2)];
    if (label === '__name__' && operator === '=') return byName(place.known, [value.slice(1, -1)]);
    if (place.all[i]!.kind === 'string' && (i === brace + 1 || word(place, i - 1) === ',') && !/[=~]/.test(operator)) {
      return byName(place.known, [label.slice(1, -1)]);
    }
  }
  return place.known.metrics;
}

function labelOptions(metrics: Metric[], used: string[]): Option[] {
  const values = new Map<string, Set<string>>();
  for (const metric of metrics) {
    for (const [label, list] of Object.entries(metric.labels)) {
      const set = values.get(label) ?? new Set();
      list.forEach((value) => set.add(value));
      values.set(label, set);
    }
  }
  return [...values.keys()].filter((label) => !used.includes(label)).sort().map((text) => {
    const some = [...values.get(text)!];
    return { text, kind: 'label', detail: some.slice(0, 3).join(', ') + (some.length > 3 ? ', …' : '') };
  });
}

function valuesOf(metrics: Metric[], label: string): string[] {
  if (label === '__name__') return metrics.map((metric) => metric.name);
  return [...new Set(metrics.flatMap((metric) => (Object.hasOwn(metric.labels, label) ? metric.labels[label]! : [])))];
}

/** A value between these quotes, as text or within a regular expression. */
function escaped(value: string, quote: string, regex: boolean): string {
  const text = regex ? value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&') : value;
  if (quote === '`') return text;
  return text.replace(/\\/g, '\\\\').replaceAll(quote, `\\${quote}`).replace(/\n/g, '\\n');
}

function inString(place: Place, cursor: number): Completion {
  const token = place.all[place.at]!;
  const end = closed(place.text, token) ? token.to - 1 : Math.max(cursor, token.to);
  const nothing = { from: cursor, to: cursor, options: [] };
  const brace = opening(place, place.at);
  if (word(place, brace) !== '{') return nothing;
  const operator = word(place, place.at - 1);
  const metrics = selected(place, brace);
  const quote = place.text[token.from]!;
  const option = (value: string, regex: boolean): Option => ({ text: escaped(value, quote, regex), kind: 'value', detail: '' });
  if (!['=', '!=', '=~', '!~'].includes(operator)) {
    const names = place.known.metrics.map((metric) => option(metric.name, false));
    return { from: token.from + 1, to: end, options: fitting(names, place.text.slice(token.from + 1, cursor)) };
  }
  const regex = operator.endsWith('~');
  const label = word(place, place.at - 2);
  let from = token.from + 1;
  let to = end;
  if (regex) {
    // One of several alternatives.
    from = Math.max(from, place.text.lastIndexOf('|', cursor - 1) + 1);
    const bar = place.text.slice(cursor, to).indexOf('|');
    if (bar >= 0) to = cursor + bar;
  }
  const choose = label === '__name__' ? place.known.metrics : metrics;
  const options = valuesOf(choose, label).map((value) => option(value, regex));
  return { from, to, options: fitting(options, place.text.slice(from, cursor)) };
}

function plain(list: [string, string][], kind: Option['kind']): Option[] {
  return list.map(([text, detail]) => ({ text, kind, detail }));
}

function inBraces(place: Place, brace: number): Option[] {
  const before = word(place, place.at - 1);
  const metrics = selected(place, brace);
  if (['=', '!=', '=~', '!~'].includes(before)) {
    const values = valuesOf(metrics, word(place, place.at - 2));
    return values.map((value) => ({ text: `"${escaped(value, '"', before.endsWith('~'))}"`, kind: 'value', detail: '' }));
  }
  if (before !== '{' && before !== ',') {
    if (place.all[place.at - 1]?.kind !== 'label') return [];
    return plain([['=', 'is'], ['!=', 'is not'], ['=~', 'matches'], ['!~', 'does not match']], 'operator');
  }
  const used: string[] = [];
  for (let i = brace + 1; i < place.all.length && word(place, i) !== '}'; i++) {
    if (place.all[i]!.kind === 'label' && i !== place.at) used.push(word(place, i));
  }
  return labelOptions(metrics, used);
}

/** Labels in the parentheses behind `by` and the like: those of the metrics that are asked for. */
function grouping(place: Place, paren: number): Option[] {
  const names = place.all.filter((token) => token.kind === 'metric').map((token) => place.text.slice(token.from, token.to));
  const used: string[] = [];
  for (let i = paren + 1; i < place.all.length && word(place, i) !== ')'; i++) if (i !== place.at) used.push(word(place, i));
  return labelOptions(byName(place.known, names), used);
}

/** What an expression can begin with. */
function beginning(place: Place, called: boolean): Option[] {
  const call = (entries: typeof FUNCTIONS, kind: Option['kind']): Option[] => entries.map(([name, takes, gives]) => ({
    text: called ? name : takes === '' ? `${name}()` : `${name}(`, kind, detail: `(${takes}) ${gives}`,
  }));
  const metrics: Option[] = place.known.metrics.map(({ name, type, help }) => ({
    text: name, kind: 'metric', detail: [type, help].filter(Boolean).join(' · '),
  }));
  const words = [...call(AGGREGATIONS, 'aggregation'), ...call(FUNCTIONS, 'function')];
  return called ? words : [...metrics, ...words];
}

const OPERATOR_WORDS = ['and', 'or', 'unless', 'atan2'];

function inExpression(place: Place, called: boolean): Option[] {
  const previous = place.all[place.at - 1];
  const text = word(place, place.at - 1).toLowerCase();
  if (text === 'offset') return durations();
  if (text === '@') return plain([['start()', 'first time'], ['end()', 'last time']], 'function');
  if (previous?.kind === 'aggregation') return plain(GROUPING, 'keyword');
  if (previous?.kind === 'operator' || OPERATOR_WORDS.includes(text)) {
    return [...beginning(place, called), ...plain(MATCHING, 'keyword')];
  }
  if (text === ')') {
    const owner = place.all[opening(place, place.at - 1) - 1];
    const name = owner ? place.text.slice(owner.from, owner.to).toLowerCase() : '';
    if (name === 'by' || name === 'without') return [];
    if (name === 'on' || name === 'ignoring') return [...beginning(place, called), ...plain(JOINING, 'keyword')];
    if (LABELLED.has(name)) return beginning(place, called);
    const after = [...plain(OPERATORS, 'operator'), ...plain(MODIFIERS, 'keyword')];
    return owner?.kind === 'aggregation' ? [...plain(GROUPING, 'keyword'), ...after] : after;
  }
  const ended = text === ']' || text === '}' || ['metric', 'number', 'string', 'duration', 'variable'].includes(previous?.kind ?? '');
  return ended ? [...plain(OPERATORS, 'operator'), ...plain(MODIFIERS, 'keyword')] : beginning(place, called);
}

function durations(): Option[] {
  const all: [string, string][] = [['$interval', 'what fits the screen'], ...DURATIONS.map((d): [string, string] => [d, ''])];
  return plain(all, 'duration');
}

/** Options at `cursor` (UTF-16) that fit what is written before it, and what of the text they replace. */
export function complete(text: string, cursor: number, known: Known): Completion {
  cursor = Math.min(Math.max(0, cursor), text.length);
  const all = tokens(text);
  const inside = all.findIndex((token) => token.from < cursor && cursor <= token.to);
  const token = all[inside];
  const nothing = { from: cursor, to: cursor, options: [] };
  if (token?.kind === 'comment') return nothing;
  if (token?.kind === 'string') {
    const within = cursor < token.to || !closed(text, token);
    return within ? inString({ text, known, all, at: inside }, cursor) : nothing;
  }
  const typing = token && !['bracket', 'punctuation', 'operator', 'error'].includes(token.kind) ? token
    : token?.kind === 'error' && /^[\w:$]/.test(text.slice(token.from)) ? token : undefined;
  const first = all.findIndex((t) => t.from >= cursor);
  const at = typing ? inside : first < 0 ? all.length : first;
  const place: Place = { text, known, all, at };
  const [from, to] = typing ? [typing.from, typing.to] : [cursor, cursor];
  const around = opening(place, at);
  const bracket = word(place, around);
  let options: Option[];
  if (bracket === '[') options = durations();
  else if (bracket === '{') options = inBraces(place, around);
  else if (bracket === '(' && LABELLED.has(word(place, around - 1).toLowerCase())) options = grouping(place, around);
  else options = inExpression(place, /^\s*\(/.test(text.slice(to)));
  return { from, to, options: fitting(options, text.slice(from, cursor)) };
}
