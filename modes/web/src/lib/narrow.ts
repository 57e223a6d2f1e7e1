// Restricts the selectors of cgroup metrics in a query to some cgroups.

const quoted = (name: string) =>
  name
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"');

/** Adds `name=~"a|b"` to selectors of metrics whose name begins with `cgroup_`; without names, the query as it is. */
export function narrow(query: string, names: string[]): string {
  if (!names.length) return query;
  const matcher = `name=~"${names.map(quoted).join('|')}"`;
  return query.replace(/\bcgroup_\w+\b(\s*\{(\s*\})?)?/g, (selector, brace?: string, closed?: string) => {
    if (!brace) return `${selector}{${matcher}}`;
    if (closed) return `${selector.slice(0, selector.lastIndexOf('}'))}${matcher}}`;
    return `${selector}${matcher},`;
  });
}
