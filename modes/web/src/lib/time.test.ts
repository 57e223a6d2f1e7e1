import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatDuration, formatLength, formatSpan, formatTime, parseDuration, timeTicks } from './time';

declare const process: { env: Record<string, string | undefined> };

let zone: string | undefined;
beforeAll(() => {
  zone = process.env.TZ;
  process.env.TZ = 'Europe/Berlin';
});
afterAll(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

const at = (text: string): number => Date.parse(text) / 1000;
const labels = (start: string, end: string, count: number): string[] =>
  timeTicks(at(start), at(end), count).map((tick) => tick.label);

describe('formatTime', () => {
  const time = at('2026-11-27T14:05:03.25+01:00');
  it.each([
    [1, time, '14:05:03'],
    [60, time, '14:05'],
    [0.25, time, '14:05:03.250'],
    [0.0001, time, '14:05:03.250000'],
    [1, time + 86400, '2026-11-27 14:05:03'],
    [86400, time, '2026-11-27'],
  ])('with step %d', (step, now, text) => {
    expect(formatTime(time, step, now)).toBe(text);
  });

  it('rounds to the next second where that is nearer', () => {
    expect(formatTime(at('2026-11-27T23:59:59+01:00') + 0.9996, 0.1, at('2026-11-28T12:00:00+01:00'))).toBe('00:00:00.000');
  });

  it('has a dash for what is no time', () => {
    expect(formatTime(NaN, 1)).toBe('–');
    expect(formatTime(1e300, 1)).toBe('–');
  });
});

describe('formatSpan', () => {
  const [from, to] = [at('2026-11-27T14:05:03+01:00'), at('2026-11-27T15:00:00+01:00')];
  it('says the day once', () => {
    expect(formatSpan(from, to, to)).toEqual(['14:05:03', '15:00:00']);
    expect(formatSpan(from, to, to + 86400)).toEqual(['2026-11-27 14:05:03', '15:00:00']);
    expect(formatSpan(from, to + 86400, to + 86400)).toEqual(['2026-11-27 14:05:03', '15:00:00']);
    expect(formatSpan(from, to + 86400, to + 2 * 86400)).toEqual(['2026-11-27 14:05:03', '2026-11-28 15:00:00']);
  });
});

describe('short spans', () => {
  it('are told to the millisecond', () => {
    const from = at('2026-11-27T14:05:03.25+01:00');
    expect(formatSpan(from, from + 3, from)).toEqual(['14:05:03.250', '14:05:06.250']);
    expect(formatSpan(from, from + 10, from)).toEqual(['14:05:03', '14:05:13']);
  });
});

describe('durations', () => {
  it('are whole seconds where that is told', () => {
    expect(formatLength(118.978)).toBe('1m 59s');
    expect(formatLength(2.5)).toBe('2s 500ms');
  });


  it.each([
    ['15m', 900], ['1h30m', 5400], ['90', 90], ['1.5h', 5400], ['1h 30 min', 5400], ['500ms', 0.5], ['.5s', 0.5],
    ['-5m', -300], ['−5m', -300], ['2d', 172800], ['1w', 604800], ['250us', 0.00025], ['0', 0], [' 7 ', 7],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', ' ', 'm', '1x', '1h30', '1e3', '--1s', 'NaN', '5constructor', '1..2s', '1h-3m'])('"%s" is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it('are written as they are read', () => {
    expect(formatDuration(5400)).toBe('1h 30m');
    expect(formatDuration(2.5)).toBe('2s 500ms');
    expect(formatDuration(-90)).toBe('-1m 30s');
    expect(formatDuration(0)).toBe('0s');
    expect(formatDuration(0.00025)).toBe('250us');
    expect(formatDuration(NaN)).toBe('–');
    for (let i = 0; i < 2000; i++) {
      const seconds = Math.round((Math.random() - 0.5) * 10 ** (i % 13)) / 1000;
      expect(parseDuration(formatDuration(seconds))).toBeCloseTo(seconds, 6);
    }
  });
});

describe('timeTicks', () => {
  it('are round', () => {
    expect(labels('2026-11-27T14:00:02+01:00', '2026-11-27T14:05:02+01:00', 6))
      .toEqual(['14:01', '14:02', '14:03', '14:04', '14:05']);
    expect(labels('2026-11-27T14:00:00+01:00', '2026-11-27T14:00:01+01:00', 4))
      .toEqual(['14:00:00.000', '14:00:00.500', '14:00:01.000']);
    expect(labels('2026-11-27T14:00:01+01:00', '2026-11-27T14:00:24+01:00', 5))
      .toEqual(['14:00:05', '14:00:10', '14:00:15', '14:00:20']);
  });

  it('have the date at midnight', () => {
    expect(labels('2026-11-26T20:00:00+01:00', '2026-11-27T10:00:00+01:00', 5))
      .toEqual(['21:00', '27 Nov', '03:00', '06:00', '09:00']);
    expect(labels('2026-12-30T12:00:00+01:00', '2027-01-02T12:00:00+01:00', 4)).toEqual(['31 Dec', '1 Jan', '2 Jan']);
    expect(labels('2026-01-10T12:00:00+01:00', '2026-05-02T12:00:00+01:00', 4))
      .toEqual(['Feb 2026', 'Mar 2026', 'Apr 2026', 'May 2026']);
    expect(labels('2020-01-10T12:00:00+01:00', '2026-05-02T12:00:00+01:00', 4)).toEqual(['2022', '2024', '2026']);
  });

  it('are round where clocks go forward and back', () => {
    expect(labels('2026-03-28T22:00:00+01:00', '2026-03-29T14:00:00+02:00', 3)).toEqual(['29 Mar', '06:00', '12:00']);
    expect(labels('2026-03-29T00:30:00+01:00', '2026-03-29T06:00:00+02:00', 5)).toEqual(['01:00', '03:00', '04:00', '05:00', '06:00']);
    expect(labels('2026-10-24T22:00:00+02:00', '2026-10-25T14:00:00+01:00', 3)).toEqual(['25 Oct', '06:00', '12:00']);
    expect(labels('2026-10-25T00:30:00+02:00', '2026-10-25T04:00:00+01:00', 5)).toEqual(['01:00', '02:00', '02:00', '03:00', '04:00']);
    expect(labels('2026-03-27T12:00:00+01:00', '2026-03-31T12:00:00+02:00', 5)).toEqual(['28 Mar', '29 Mar', '30 Mar', '31 Mar']);
  });

  it('are round in zones that are half an hour off', () => {
    process.env.TZ = 'Asia/Kathmandu';
    expect(labels('2026-11-27T10:10:00+05:45', '2026-11-27T15:10:00+05:45', 5)).toEqual(['11:00', '12:00', '13:00', '14:00', '15:00']);
    process.env.TZ = 'Europe/Berlin';
  });

  it('are within, ascending and not too many, for any span', () => {
    for (let i = 0; i < 3000; i++) {
      const start = 1.7e9 + Math.random() * 1e8;
      const end = start + 10 ** (Math.random() * 13 - 4);
      const count = 2 + (i % 12);
      const ticks = timeTicks(start, end, count);
      expect(ticks.length, `${start} ${end} ${count}`).toBeLessThanOrEqual(count + 2 + count / 4);
      ticks.forEach((tick, n) => {
        expect(tick.value >= start - 1e-6 && tick.value <= end).toBe(true);
        if (n > 0) expect(tick.value).toBeGreaterThan(ticks[n - 1]!.value);
      });
    }
  });

  it('are none where there is no span', () => {
    expect(timeTicks(5, 5, 3)).toEqual([]);
    expect(timeTicks(NaN, 5, 3)).toEqual([]);
    expect(timeTicks(0, 1e300, 3)).toEqual([]);
    expect(timeTicks(0, 100, NaN).length).toBeLessThan(3);
  });
});
