import { expect, test } from 'vitest';
import { narrow, ofCgroups, rest } from './narrow';

test('selectors of cgroups get one more matcher', () => {
  expect(narrow('rate(cgroup_cpu_usage[2s])', ['/a'])).toBe('rate(cgroup_cpu_usage{name=~"/a"}[2s])');
  expect(narrow('cgroup_cpu_usage{state="user"}', ['/a', '/b'])).toBe('cgroup_cpu_usage{name=~"/a|/b",state="user"}');
  expect(narrow('cgroup_cpu_usage{ }', ['/a'])).toBe('cgroup_cpu_usage{name=~"/a" }');
});

test('names are no expressions, and other metrics and strings stay', () => {
  expect(narrow('cgroup_x', ['/user.slice"'])).toBe('cgroup_x{name=~"/user\\\\.slice\\""}');
  expect(narrow('topk(3, cpu_usage)', ['/a'])).toBe('topk(3, cpu_usage)');
  expect(narrow('{__name__="cgroup_x"}', ['/a'])).toBe('{__name__="cgroup_x"}');
  expect(narrow('topk(3, cgroup_x)', [])).toBe('topk(3, cgroup_x)');
});

test('what is chosen is not among the greatest only', () => {
  const query = 'topk(10, sum by (name) (rate(cgroup_cpu_usage[$interval]))) / 1e9';
  expect(narrow(query, ['/a'])).toBe('( sum by (name) (rate(cgroup_cpu_usage{name=~"/a"}[$interval]))) / 1e9');
});

test('the others are added up', () => {
  const query = 'topk(10, sum by (name, stall) (rate(cgroup_stalls{x="y"}[2s])))';
  expect(rest(query, ['/a'])).toBe('( sum by (stall) (rate(cgroup_stalls{name!~"/a",x="y"}[2s])))');
  expect(rest('100 * sum by (name) (cgroup_a) / sum BY (name) (cgroup_b)', ['/a', '/b'])).toBe(
    '100 * sum by () (cgroup_a{name!~"/a|/b"}) / sum BY () (cgroup_b{name!~"/a|/b"})',
  );
  expect(rest('rate(cgroup_oom[2s]) > 0', ['/a'])).toBeNull();
  expect(rest('sum by (name) (cpu_usage)', ['/a'])).toBeNull();
  expect(rest('sum by (name) (cgroup_a)', [])).toBeNull();
});

test('legends say which are which', () => {
  const asked = [{ query: 'sum by (name) (cgroup_a)', legend: 'of {{name}}' }];
  expect(ofCgroups(asked, ['/a'], true).map((q) => q.legend)).toEqual(['of {{name}}', 'of other']);
  expect(ofCgroups([{ ...asked[0]!, legend: 'a' }], ['/a'], true).map((q) => q.legend)).toEqual(['a', 'a other']);
  expect(ofCgroups(asked, ['/a'], false)).toHaveLength(1);
  expect(ofCgroups(asked, [], true)).toBe(asked);
});
