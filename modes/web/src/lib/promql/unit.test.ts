import { expect, it } from 'vitest';
import { unitOf } from './unit';

const metrics = [
  { name: 'cpu_usage', type: 'counter', unit: 'nanoseconds' },
  { name: 'net_bytes', type: 'counter', unit: 'bytes' },
  { name: 'net_packets', type: 'counter', unit: 'packets' },
  { name: 'mem_free', type: 'gauge', unit: 'bytes' },
  { name: 'mem_total', type: 'gauge', unit: 'bytes' },
  { name: 'latency', type: 'histogram', unit: 'nanoseconds' },
];

it.each([
  ['sum(rate(cpu_usage[2s])) / 1e9', 'cores'],
  ['sum(rate(cpu_usage[2s]))', 'count'],
  ['100 * sum(rate(cpu_usage[2s])) / 1e9', 'percent'],
  ['rate(net_bytes[2s])', 'bytes/s'],
  ['rate(net_packets[2s])', 'events/s'],
  ['mem_free', 'bytes'],
  ['mem_free / mem_total', 'count'],
  ['increase(net_bytes[1m])', 'bytes'],
  ['histogram_quantile(0.9, rate(latency[2s]))', 'nanoseconds'],
  ['rate(net_bytes[2s]) + rate(net_packets[2s])', 'count'],
  ['sum(rate(latency[2s]))', 'nanoseconds'],
  ['histogram_count(rate(latency[2s]))', 'events/s'],
  ['vector(1)', 'count'],
])('%s is in %s', (query, unit) => expect(unitOf(query, metrics)).toBe(unit));
