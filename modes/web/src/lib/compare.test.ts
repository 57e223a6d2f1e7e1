import { describe, expect, it } from 'vitest';
import type { Difference, TimedEvent } from '../api/types';
import { difference, nameOf, offsetOf, queryOf, rank, ratio, shared } from './compare';

it('lays B over A', () => {
  const [a, b] = [{ start: 100, end: 200 }, { start: 1000, end: 1050 }];
  expect(offsetOf(a, b, 'start')).toBe(900);
  expect(offsetOf(a, b, 'end')).toBe(850);
  expect(offsetOf(a, b, 'clock')).toBe(0);
});

it('finds what happened to both', () => {
  const event = (timestamp: number, description: string): TimedEvent => ({ timestamp, description, kind: '', source: '' });
  const pairs = shared([event(9, 'x'), event(1, 'x'), event(2, 'only a')], [event(50, 'x'), event(40, 'x'), event(60, 'x')]);
  expect(pairs.map((p) => [p.a.timestamp, p.b.timestamp])).toEqual([[1, 40], [9, 50]]);
});

it('compares value by value', () => {
  expect([...difference([1, 2, NaN], [3, 1, 1, 1])]).toEqual([2, -1, NaN, NaN]);
  expect([...ratio([2, 0, 0], [4, 0, 3, 1])]).toEqual([2, NaN, Infinity, NaN]);
});

describe('rank', () => {
  const row = (metric: string, a: number | null, b: number | null): Difference => ({ metric, labels: {}, type: 'gauge', unit: 'count', a, b, of: 'mean' });

  it('puts what is halved beside what is doubled, and what has no ratio behind', () => {
    const ranked = rank([
      row('alone', null, 1), row('same', 3, 3), row('zero', 0, 5), row('nothing', 0, 0), row('doubled', 1, 2), row('gone', 4, 1), row('halved', 2, 1),
    ]);
    expect(ranked.map((r) => r.metric)).toEqual(['gone', 'doubled', 'halved', 'nothing', 'same', 'zero', 'alone']);
    expect(ranked.map((r) => r.sort)).toEqual(['both', 'both', 'both', 'both', 'both', 'zero', 'alone']);
    expect(ranked[0]).toMatchObject({ ratio: 0.25, change: -3, weight: 2 });
    expect(ranked.at(-1)!.change).toBeNaN();
  });

  it('takes what is below zero', () => {
    const [fell, turned] = rank([row('turned', -1, 1), row('fell', -1, -2)]);
    expect(fell).toMatchObject({ metric: 'fell', ratio: 2 });
    expect(turned).toMatchObject({ sort: 'zero' });
  });
});

it('asks for a row', () => {
  const row = { metric: 'cpu_usage', labels: { state: 'us"er', id: '1' }, of: 'rate' as const };
  expect(queryOf(row)).toBe('sum(rate(cpu_usage{id="1", state="us\\"er"}[$interval]))');
  expect(queryOf({ ...row, labels: {}, of: 'p99' })).toBe('histogram_quantile(0.99, sum(rate(cpu_usage[$interval])))');
  expect(queryOf({ ...row, metric: 'a b', labels: {}, of: 'mean' })).toBe('avg({__name__="a b"})');
  expect(nameOf({ metric: 'a', labels: {} })).toBe('a');
});
