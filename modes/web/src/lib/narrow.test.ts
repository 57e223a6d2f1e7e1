import { expect, test } from 'vitest';
import { narrow } from './narrow';

test('selectors of cgroups get one more matcher', () => {
  expect(narrow('rate(cgroup_cpu_usage[2s])', ['/a'])).toBe('rate(cgroup_cpu_usage{name=~"/a"}[2s])');
  expect(narrow('cgroup_cpu_usage{state="user"}', ['/a', '/b'])).toBe('cgroup_cpu_usage{name=~"/a|/b",state="user"}');
  expect(narrow('cgroup_cpu_usage{}', ['/a'])).toBe('cgroup_cpu_usage{name=~"/a"}');
});

test('names are no expressions, and other metrics stay', () => {
  expect(narrow('cgroup_x', ['/user.slice"'])).toBe('cgroup_x{name=~"/user\\\\.slice\\""}');
  expect(narrow('cpu_usage', ['/a'])).toBe('cpu_usage');
  expect(narrow('cgroup_x', [])).toBe('cgroup_x');
});
