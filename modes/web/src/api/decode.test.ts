import { expect, test } from 'vitest';
import { decodeRange } from './decode';

function body(header: object, ...arrays: (Float64Array | Uint32Array)[]): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const begin = Math.ceil((4 + text.length) / 8) * 8;
  const size = arrays.reduce((sum, a) => sum + a.byteLength, begin);
  const out = new Uint8Array(size);
  new DataView(out.buffer).setUint32(0, begin - 4, true);
  out.fill(32, 4, begin);
  out.set(text, 4);
  let at = begin;
  for (const a of arrays) {
    out.set(new Uint8Array(a.buffer), at);
    at += a.byteLength;
  }
  return out.buffer;
}

test('series that are reduced have an envelope, gaps stay NaN', () => {
  const header = { kind: 'series', count: 2, reduced: true, series: [{ labels: { id: '0' } }] };
  const answer = decodeRange(body(header, Float64Array.of(1, NaN), Float64Array.of(0, NaN), Float64Array.of(9, NaN)));
  if (answer.kind !== 'series') throw new Error('not series');
  const [only] = answer.series;
  expect([...only!.mean]).toEqual([1, NaN]);
  expect(only!.greatest![0]).toBe(9);
  expect(only!.labels).toEqual({ id: '0' });
});

test('cells of a heatmap follow lots and buckets', () => {
  const header = { kind: 'heatmap', count: 4, cells: 2, bounds: [0, 1, 2] };
  const answer = decodeRange(body(header, Uint32Array.of(0, 3), Uint32Array.of(1, 0), Float64Array.of(5, 7)));
  if (answer.kind !== 'heatmap') throw new Error('not a heatmap');
  expect([...answer.cells.lot, ...answer.cells.bucket, ...answer.cells.count]).toEqual([0, 3, 1, 0, 5, 7]);
});

test('bodies that are cut off are refused', () => {
  expect(() => decodeRange(new ArrayBuffer(2))).toThrow('without a header');
  const whole = body({ kind: 'series', count: 2, reduced: false, series: [{ labels: {} }] }, Float64Array.of(1, 2));
  expect(() => decodeRange(whole.slice(0, 10))).toThrow('within its header');
  expect(() => decodeRange(whole.slice(0, whole.byteLength - 8))).toThrow();
});
