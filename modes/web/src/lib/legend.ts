/** What series are called. */

export type Labels = Record<string, string>;

/** Text in a legend's template that stands for a label. */
const PLACE = /\{\{\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}/g;

function own(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

/** A label's value as PromQL writes it. */
export function quote(value: string): string {
  return `"${value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`;
}

/** Labels as PromQL writes them: `name{a="b"}`. */
function selector(labels: Labels): string {
  const name = own(labels, '__name__') ?? '';
  const pairs = Object.keys(labels).filter((key) => key !== '__name__').sort()
    .map((key) => `${key}=${quote(labels[key]!)}`);
  return pairs.length === 0 && name !== '' ? name : `${name}{${pairs.join(', ')}}`;
}

/**
 * The name of a series: the template with `{{label}}` replaced, absent labels by nothing. Without a template, or if nothing
 * but blanks is left of it, the labels in the form `name{a="b"}`: pass only those that `distinguishing` names.
 */
export function legendText(template: string, labels: Labels): string {
  const text = template.replace(PLACE, (_, name: string) => own(labels, name) ?? '').replace(/\s+/g, ' ').trim();
  return text === '' ? selector(labels) : text;
}

/** The labels, in order, that not all of these have with the same value. */
export function distinguishing(all: Labels[]): string[] {
  const names = new Set(all.flatMap((labels) => Object.keys(labels)));
  // An absent label is an empty one.
  return [...names].filter((name) => new Set(all.map((labels) => own(labels, name) ?? '')).size > 1).sort();
}

/** These labels and no others. */
export function only(labels: Labels, names: string[]): Labels {
  return Object.fromEntries(names.filter((name) => own(labels, name)).map((name) => [name, labels[name]!]));
}
