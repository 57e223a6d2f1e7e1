import { describe, expect, it } from 'vitest';
import { axisTicks, axisUnit, formatValue, logTicks } from './units';

describe('formatValue', () => {
  it.each([
    [850, 'nanoseconds', '850 ns'],
    [1.25e6, 'nanoseconds', '1.25 ms'],
    [3.2e9, 'nanoseconds', '3.2 s'],
    [250e9, 'nanoseconds', '4 min 10 s'],
    [59.96e9, 'nanoseconds', '1 min'],
    [999.6, 'nanoseconds', '1 µs'],
    [0.5, 'nanoseconds', '0.5 ns'],
    [7500, 'seconds', '2 h 5 min'],
    [3599.7, 'seconds', '1 h'],
    [86399, 'seconds', '1 d'],
    [273600, 'seconds', '3 d 4 h'],
    [0.00125, 'seconds', '1.25 ms'],
    [0, 'seconds', '0 s'],
    [0, 'bytes', '0 B'],
    [1023, 'bytes', '1023 B'],
    [1024, 'bytes', '1 KiB'],
    [1023 * 1024, 'bytes', '0.999 MiB'],
    [1.5 * 1024 ** 3, 'bytes', '1.5 GiB'],
    [12.34 * 1024 ** 2, 'bytes/s', '12.3 MiB/s'],
    [12345, 'operations/s', '12.3 k/s'],
    [12.3, 'events/s', '12.3 /s'],
    [999.96, 'events/s', '1 k/s'],
    [42.11, 'percent', '42.1 %'],
    [100, 'percent', '100 %'],
    [1, 'cores', '1 core'],
    [0.0123, 'cores', '0.0123 cores'],
    [0.0045, 'cores', '4.5 mcores'],
    [0.0000107, 'cores', '10.7 µcores'],
    [0, 'cores', '0 cores'],
    [3.2e9, 'hertz', '3.2 GHz'],
    [1234567, 'count', '1.23 M'],
    [17, 'count', '17'],
    [-1234, 'count', '−1.23 k'],
    [1.5, 'frames', '1.5 frames'],
    [15000, 'frames', '15 k frames'],
    [1, 'constructor', '1 constructor'],
    [NaN, 'bytes', '–'],
    [Infinity, 'count', '∞'],
    [-Infinity, 'nanoseconds', '−∞ s'],
    [1e40, 'count', '1×10²² E'],
    [1.5e-12, 'count', '1.5×10⁻¹²'],
    [1e21, 'percent', '1×10²¹ %'],
  ])('%d of %s is %s', (value, unit, text) => {
    expect(formatValue(value, unit)).toBe(text);
  });

  it('never has an exponent, and at most four digits in a row', () => {
    const units = ['count', 'percent', 'cores', 'bytes', 'bytes/s', 'events/s', 'nanoseconds', 'seconds', 'hertz', 'x'];
    for (const unit of units) {
      for (let exponent = -30; exponent < 40; exponent += 0.37) {
        expect(formatValue(10 ** exponent, unit)).not.toMatch(/\de|NaN|undefined/);
      }
    }
  });
});

const labels = (...of: Parameters<typeof axisTicks>): string[] => axisTicks(...of).map((tick) => tick.label);

describe('axisTicks', () => {
  it('steps by 1, 2, 5', () => {
    expect(labels(0, 100, 'percent', 5)).toEqual(['0 %', '20 %', '40 %', '60 %', '80 %', '100 %']);
    expect(labels(0, 0.4, 'cores', 4)).toEqual(['0.0 cores', '0.1 cores', '0.2 cores', '0.3 cores', '0.4 cores']);
    expect(labels(0, 0.00008, 'cores', 2)).toEqual(['0 µcores', '50 µcores']);
    expect(labels(-5, 5, 'count', 2)).toEqual(['−5', '0', '5']);
  });

  it('has no label of many zeros', () => {
    expect(labels(0, 4e-7, 'count', 2)).toEqual(['0', '2×10⁻⁷', '4×10⁻⁷']);
  });

  it('leaves words of others to the heading', () => {
    expect(axisUnit('requests')).toBe('count');
    expect(axisUnit('bytes/s')).toBe('bytes/s');
  });

  it('steps by powers of two in bytes', () => {
    expect(labels(0, 2 * 1024 ** 3, 'bytes', 4)).toEqual(['0.0 GiB', '0.5 GiB', '1.0 GiB', '1.5 GiB', '2.0 GiB']);
    expect(axisTicks(0, 700 * 1024, 'bytes/s', 4).map((t) => t.value)).toEqual([0, 262144, 524288]);
  });

  it('steps as clocks do in long times', () => {
    expect(labels(0, 250e9, 'nanoseconds', 5)).toEqual(['0 min', '1 min', '2 min', '3 min', '4 min']);
    expect(labels(0, 1.2e6, 'nanoseconds', 3)).toEqual(['0.0 ms', '0.5 ms', '1.0 ms']);
    expect(labels(0, 7200, 'seconds', 2)).toEqual(['0 h', '1 h', '2 h']);
  });

  it('has one unit per axis, values within, and not too many', () => {
    const units = ['count', 'percent', 'cores', 'bytes', 'bytes/s', 'events/s', 'nanoseconds', 'seconds', 'hertz'];
    for (const unit of units) {
      for (let exponent = -6; exponent < 16; exponent += 0.41) {
        for (const count of [2, 5, 9]) {
          const max = 10 ** exponent;
          const ticks = axisTicks(0, max, unit, count);
          expect(ticks.length, `${max} ${unit}`).toBeGreaterThan(1);
          expect(ticks.length).toBeLessThanOrEqual(1.25 * count + 1);
          expect(new Set(ticks.map((t) => t.label.replace(/^[−\d.]+(×10[⁻⁰¹²³⁴-⁹]+)?/, ''))).size).toBe(1);
          expect(new Set(ticks.map((t) => t.label)).size, `${max} ${unit}`).toBe(ticks.length);
          expect(ticks.every((t) => t.value >= 0 && t.value <= max * (1 + 1e-9))).toBe(true);
        }
      }
    }
  });

  it('is calm about what is no range', () => {
    expect(axisTicks(NaN, 1, 'count', 5)).toEqual([]);
    expect(axisTicks(0, Infinity, 'count', 5)).toEqual([]);
    expect(labels(5, 5, 'percent', 5)).toEqual(['5 %']);
    expect(labels(10, 0, 'percent', 1)).toEqual(['0 %', '10 %']);
    expect(axisTicks(0, 10, 'count', NaN).length).toBeGreaterThan(0);
    expect(axisTicks(1e16, 1e16 + 2, 'count', 5)).toHaveLength(1);
  });
});

describe('logTicks', () => {
  const text = (...of: Parameters<typeof logTicks>): string[] => logTicks(...of).map((tick) => tick.label);

  it('shows powers', () => {
    expect(text(100, 2e8, 'nanoseconds')).toEqual(['100 ns', '1 µs', '10 µs', '100 µs', '1 ms', '10 ms', '100 ms']);
    expect(text(1, 1024 ** 3, 'bytes')).toEqual(['1 B', '1 KiB', '1 MiB', '1 GiB']);
    expect(text(1, 50000, 'seconds')).toEqual(['1 s', '10 s', '1 min', '10 min', '1 h', '10 h']);
  });

  it('shows more where there are few powers', () => {
    expect(text(1, 20, 'count')).toEqual(['1', '2', '5', '10', '20']);
    expect(text(1.1, 1.9, 'count').length).toBeGreaterThan(1);
  });

  it('takes ranges that have no logarithm', () => {
    expect(text(0, 1e6, 'count')[0]).toBe('1');
    expect(text(-5, -1, 'count')).toEqual([]);
    expect(text(NaN, 1, 'count')).toEqual([]);
    expect(text(1e-200, 1e200, 'count').length).toBeLessThanOrEqual(13);
  });
});
