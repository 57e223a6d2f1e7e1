/** Times (seconds since the Unix epoch, shown in the zone of the browser) and durations (seconds). */

import type { Tick } from './units';

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** The furthest a Date reaches, in seconds. */
const FURTHEST = 8.64e12;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function two(n: number): string {
  return String(n).padStart(2, '0');
}

function isoDay(date: Date): string {
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** What of a clock a step needs: hours and minutes, seconds, thousandths, millionths. */
function clock(seconds: number, step: number): string {
  const decimals = step >= 1 ? 0 : step >= 1e-3 ? 3 : 6;
  const whole = Math.floor(seconds);
  const date = new Date(whole * 1000);
  const text = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step >= MINUTE) return text;
  const fraction = decimals === 0 ? '' : (seconds - whole).toFixed(decimals).slice(1);
  return `${text}:${two(date.getSeconds())}${fraction}`;
}

/** Rounded to what `clock` shows, so that 0.9999 s is not shown as the second before, with .000. */
function rounded(seconds: number, step: number): number {
  const parts = step >= 1 ? 1 : step >= 1e-3 ? 1e3 : 1e6;
  return step >= 1 ? Math.floor(seconds) : Math.round(seconds * parts) / parts;
}

/**
 * The local time, as exact as a `step` (s) between neighbours needs; with the date unless that is the day of `now`
 * (s), and only the date when steps are days. A dash for what is no time.
 */
export function formatTime(seconds: number, step: number, now: number = Date.now() / 1000): string {
  if (!(Math.abs(seconds) <= FURTHEST)) return '–';
  const time = rounded(seconds, step);
  const day = isoDay(new Date(Math.floor(time) * 1000));
  if (step >= DAY) return day;
  return day === isoDay(new Date(now * 1000)) ? clock(time, step) : `${day} ${clock(time, step)}`;
}

/** From one time to another, to the second, or to the millisecond if that is not far; the day once where it is the same. */
export function formatSpan(start: number, end: number, now: number = Date.now() / 1000): [string, string] {
  const exact = Math.abs(end - start) < 10 ? 0.1 : 1;
  const texts = [start, end].map((time) => formatTime(time, exact, now)) as [string, string];
  const [day, of] = texts.map((text) => /^\S+ /.exec(text)?.[0]);
  return day && day === of ? [texts[0], texts[1].slice(day.length)] : texts;
}

const PARTS: [string, number][] = [['d', DAY * 1000], ['h', HOUR * 1000], ['m', MINUTE * 1000], ['s', 1000], ['ms', 1]];

/** As `parseDuration` takes it, to the millisecond: `1h 30m`, `2.5s` as `2s 500ms`; a dash for what is none. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds !== 0 && Math.abs(seconds) < 0.001) return `${Number((seconds * 1e6).toPrecision(3))}us`;
  let rest = Math.round(Math.abs(seconds) * 1000);
  const texts: string[] = [];
  for (const [name, size] of PARTS) {
    const whole = Math.floor(rest / size);
    if (whole > 0) texts.push(`${whole}${name}`);
    rest -= whole * size;
  }
  return texts.length === 0 ? '0s' : (seconds < 0 ? '-' : '') + texts.join(' ');
}

const UNITS: Record<string, number> = {
  ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: MINUTE, min: MINUTE, h: HOUR, d: DAY, w: 7 * DAY, y: 365 * DAY,
};

/** Seconds of `15m`, `1h30m`, `1.5 h`, `-500ms`, `90` (s); null if it is no duration. */
export function parseDuration(text: string): number | null {
  const [, sign, body] = /^\s*([-−+]?)\s*(.*?)\s*$/.exec(text) ?? [];
  if (!body) return null;
  const factor = sign === '-' || sign === '−' ? -1 : 1;
  if (/^(\d+\.?\d*|\.\d+)$/.test(body)) return factor * Number(body);
  const part = /(\d+\.?\d*|\.\d+)\s*([a-zµ]+)\s*/y;
  let sum = 0;
  for (let at = 0; at < body.length; at = part.lastIndex) {
    part.lastIndex = at;
    const found = part.exec(body);
    const unit = found && Object.hasOwn(UNITS, found[2]!) ? UNITS[found[2]!] : undefined;
    if (!found || unit === undefined) return null;
    // Dividing is exact where multiplying by 0.001 is not.
    sum += unit < 1 ? Number(found[1]) / Math.round(1 / unit) : Number(found[1]) * unit;
  }
  return factor * sum;
}

const STEPS = [1, 2, 5, 10, 15, 30].flatMap((n) => [n, n * MINUTE])
  .concat([1, 2, 3, 6, 12].map((n) => n * HOUR))
  .sort((a, b) => a - b);

/** Seconds that local time is ahead of UTC then. */
function ahead(time: number): number {
  return -new Date(time * 1000).getTimezoneOffset() * MINUTE;
}

function modulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}

/** Times at which local clocks show multiples of `step` (s, up to 12 h), also where clocks are changed. */
function clockTimes(start: number, end: number, step: number): number[] {
  const beyond = (time: number): number => modulo(time + ahead(time), step);
  const times: number[] = [];
  let time = Math.ceil(start);
  if (beyond(time) !== 0) time += step - beyond(time);
  // The clock may have been changed on the way there.
  if (beyond(time) !== 0) time += step - beyond(time);
  while (time <= end) {
    times.push(time);
    let next = time + step;
    const over = beyond(next);
    // Clocks went forward: the round time is earlier than a step from here; or back: later.
    if (over !== 0) next = over < step / 2 ? next - over : next + step - over;
    time = next;
  }
  return times;
}

/** Local midnights, those of whole multiples of `days`; weeks begin on Monday. */
function midnights(start: number, end: number, days: number): number[] {
  const times: number[] = [];
  const first = new Date(start * 1000);
  for (let i = 0; ; i++) {
    const date = new Date(first.getFullYear(), first.getMonth(), first.getDate() + i);
    const time = date.getTime() / 1000;
    if (!(time <= end)) return times;
    const number = Math.round((time + ahead(time)) / DAY);
    // Day 0 was a Thursday.
    if (time >= start && modulo(number + (days === 7 ? 3 : 0), days) === 0) times.push(time);
  }
}

/** First days of months, those of whole multiples of `months` since year 0. */
function firsts(start: number, end: number, months: number): number[] {
  const times: number[] = [];
  const first = new Date(start * 1000);
  let month = Math.floor((first.getFullYear() * 12 + first.getMonth()) / months) * months;
  for (; ; month += months) {
    const date = new Date(2000, 0, 1);
    date.setFullYear(Math.floor(month / 12), modulo(month, 12), 1);
    const time = date.getTime() / 1000;
    if (!(time <= end)) return times;
    if (time >= start) times.push(time);
  }
}

/** The least of 1, 2, 5 times a power of ten that is not below `least`. */
function decimal(least: number): number {
  const power = Math.floor(Math.log10(least));
  const factor = [1, 2, 5].find((n) => Number(`${n}e${power}`) >= least * (1 - 1e-9));
  return factor ? Number(`${factor}e${power}`) : Number(`1e${power + 1}`);
}

function fractionTimes(start: number, end: number, step: number): number[] {
  const per = Math.round(1 / step);
  const times: number[] = [];
  for (let i = Math.ceil(start * per - 1e-6); i / per <= end; i++) times.push(i / per);
  return times;
}

function tickLabel(time: number, step: number): string {
  const date = new Date(Math.floor(time) * 1000);
  const midnight = time === Math.floor(time) && date.getHours() + date.getMinutes() + date.getSeconds() === 0;
  if (step < DAY && !midnight) return clock(time, step);
  if (step >= 365 * DAY) return String(date.getFullYear());
  if (step >= 28 * DAY) return `${MONTHS[date.getMonth()]} ${date.getFullYear()}`;
  return `${date.getDate()} ${MONTHS[date.getMonth()]}`;
}

/** How long something is as far as people ask: above a minute in seconds. */
export const formatLength = (seconds: number): string => formatDuration(seconds > MINUTE ? Math.round(seconds) : seconds);

/**
 * Round local times from `start` to `end`, about `count` of them at most; the date stands at midnight. A span with no
 * round time in it has none. Empty for what is no span.
 */
export function timeTicks(start: number, end: number, count: number): Tick[] {
  const span = end - start;
  if (!(span > 0) || Math.abs(start) > FURTHEST || Math.abs(end) > FURTHEST) return [];
  // Finer than numbers of seconds since 1970 can tell apart.
  const least = Math.max(span / Math.min(Math.max(1, count || 1), 100), 1e-6);
  let step = least < 1 ? decimal(least) : STEPS.find((known) => known >= least) ?? least;
  let times: number[];
  if (step < 1) times = fractionTimes(start, end, step);
  else if (step <= 12 * HOUR) times = clockTimes(start, end, step);
  else if (step <= 7 * DAY) {
    const days = [1, 2, 7].find((n) => n * DAY >= step) ?? 7;
    times = midnights(start, end, days);
    step = days * DAY;
  } else {
    const months = [1, 3, 6].find((n) => n * 30.4 * DAY >= step) ?? Math.ceil(decimal(step / (365.2 * DAY))) * 12;
    times = firsts(start, end, months);
    step = months >= 12 ? 365 * DAY : 30 * DAY;
  }
  return times.map((value) => ({ value, label: tickLabel(value, step) }));
}
