/** Numbers as people read them, in the units of docs/dashboard.md. */

export type Unit =
  | 'count' | 'percent' | 'cores' | 'bytes' | 'bytes/s' | 'operations/s' | 'events/s'
  | 'nanoseconds' | 'seconds' | 'hertz'
  // Any other text, shown as it is.
  | (string & {});

export interface Tick {
  value: number;
  label: string;
}

/** A multiple of the unit: how much of the unit it is, and what follows the number. */
interface Scale {
  size: number;
  suffix: string;
  /** Told in it from here on, if not from where it is 1. */
  from?: number;
}

type Family = 'decimal' | 'binary' | 'time' | 'plain';

interface Shape {
  family: Family;
  /** Ascending. */
  scales: Scale[];
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

const NOTHING = '–';
const MINUS = '−';

function prefixed(prefixes: string[], base: number, first: number, suffix: (prefix: string) => string): Scale[] {
  return prefixes.map((prefix, i) => ({ size: base ** (i + first), suffix: suffix(prefix) }));
}

const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

function seconds(of: number): Shape {
  const scales = [
    { size: 1e-9 * of, suffix: ' ns' },
    { size: 1e-6 * of, suffix: ' µs' },
    { size: 1e-3 * of, suffix: ' ms' },
    { size: of, suffix: ' s' },
  ];
  return { family: 'time', scales };
}

const SHAPES: Record<string, Shape> = {
  count: { family: 'decimal', scales: prefixed(DECIMAL, 1000, 0, (p) => (p ? ` ${p}` : '')) },
  percent: { family: 'plain', scales: [{ size: 1, suffix: ' %' }] },
  cores: {
    family: 'decimal',
    scales: [
      { size: 1e-6, suffix: ' µcores' },
      { size: 1e-3, suffix: ' mcores' },
      { size: 1, suffix: ' cores', from: 0.01 },
    ],
  },
  bytes: { family: 'binary', scales: prefixed(BINARY, 1024, 0, (p) => ` ${p}B`) },
  'bytes/s': { family: 'binary', scales: prefixed(BINARY, 1024, 0, (p) => ` ${p}B/s`) },
  'operations/s': { family: 'decimal', scales: prefixed(DECIMAL, 1000, 0, (p) => ` ${p}/s`) },
  'events/s': { family: 'decimal', scales: prefixed(DECIMAL, 1000, 0, (p) => ` ${p}/s`) },
  // Sizes in nanoseconds are whole, so that they divide exactly.
  nanoseconds: { family: 'time', scales: [1, 1e3, 1e6, 1e9].map((size, i) => ({ size, suffix: [' ns', ' µs', ' ms', ' s'][i]! })) },
  seconds: seconds(1),
  hertz: { family: 'decimal', scales: prefixed(DECIMAL, 1000, 0, (p) => ` ${p}Hz`) },
};

function shape(unit: Unit): Shape {
  const known = Object.hasOwn(SHAPES, unit) ? SHAPES[unit] : undefined;
  if (known) return known;
  const after = unit === '' ? '' : ` ${unit}`;
  return { family: 'decimal', scales: prefixed(DECIMAL, 1000, 0, (p) => (p ? ` ${p}` : '') + after) };
}

/** How many of the unit are one second; only of times. */
function perSecond(unit: Unit): number {
  return unit === 'nanoseconds' ? 1e9 : 1;
}

function superscript(exponent: number): string {
  return String(exponent).replace(/./g, (c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(c)]!));
}

/** A number not below zero with three significant digits, and no zeros behind the point that say nothing. */
function digits(value: number): string {
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(3));
  if (rounded >= 1e15 || rounded < 1e-6) {
    const [mantissa, exponent] = value.toExponential(2).split('e') as [string, string];
    return `${Number(mantissa)}×10${superscript(Number(exponent))}`;
  }
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(rounded)));
  const text = rounded.toFixed(decimals);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Minutes and more, in the two units that matter. */
function long(total: number): string {
  const pair = (large: number, largeName: string, small: number, smallName: string): string => {
    const parts = Math.round(total / small);
    const whole = Math.floor(parts / (large / small));
    const rest = parts - whole * (large / small);
    return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
  };
  if (Math.round(total) < HOUR) return pair(MINUTE, 'min', 1, 's');
  if (Math.round(total / MINUTE) * MINUTE < DAY) return pair(HOUR, 'h', MINUTE, 'min');
  if (total < 100 * DAY) return pair(DAY, 'd', HOUR, 'h');
  return `${digits(Math.round(total / DAY))} d`;
}

/** The value with its unit: three significant digits, NaN as a dash. */
export function formatValue(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return NOTHING;
  const sign = value < 0 ? MINUS : '';
  const size = Math.abs(value);
  const { family, scales } = shape(unit);
  const smallest = unit === 'seconds' && size === 0 ? scales[3]! : scales[0]!;
  if (size === Infinity) return `${sign}∞${(family === 'time' ? scales[3]! : smallest).suffix}`;
  if (family === 'time' && Number((size / perSecond(unit)).toPrecision(3)) >= MINUTE) {
    return sign + long(size / perSecond(unit));
  }
  // Whole bytes are told as they are until there is a KiB of them.
  if (family === 'binary' && size < 1024 && Number.isInteger(size)) return `${sign}${size}${smallest.suffix}`;
  let chosen = smallest;
  for (const scale of scales) {
    // What would be rounded to 1000 of one is told in the next.
    if (Number((size / chosen.size).toPrecision(3)) >= 1000 || size >= (scale.from ?? Infinity)) chosen = scale;
  }
  if (unit === 'cores' && size === 0) chosen = scales[2]!;
  if (unit === 'cores' && digits(size) === '1') return `${sign}1 core`;
  return sign + digits(size / chosen.size) + chosen.suffix;
}

/** The least of 1, 2, 5 times a power of ten that is not below `least`. */
function decimalStep(least: number): number {
  const power = Math.floor(Math.log10(least));
  for (const exponent of [power, power + 1]) {
    for (const factor of [1, 2, 5]) {
      const step = Number(`${factor}e${exponent}`);
      if (step >= least * (1 - 1e-9)) return step;
    }
  }
  return Number(`1e${power + 2}`);
}

const LONG_STEPS = [1, 2, 5, 10, 15, 30].flatMap((n) => [n, n * MINUTE])
  .concat([1, 2, 3, 6, 12].map((n) => n * HOUR))
  .sort((a, b) => a - b);

function niceStep(least: number, unit: Unit): number {
  const { family } = shape(unit);
  if (family === 'binary' && least > 0.5) return 2 ** Math.ceil(Math.log2(least) - 1e-9);
  if (family === 'time' && least > perSecond(unit)) {
    const wanted = least / perSecond(unit);
    const step = LONG_STEPS.find((known) => known >= wanted * (1 - 1e-9)) ?? decimalStep(wanted / DAY) * DAY;
    return step * perSecond(unit);
  }
  return decimalStep(least);
}

/** How many decimals show a step exactly. */
function decimalsOf(step: number): number {
  for (let decimals = 0; decimals < 15; decimals++) {
    const scaled = step * 10 ** decimals;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return decimals;
  }
  return 15;
}

function largestBelow(scales: Scale[], size: number): Scale {
  return scales.findLast((scale) => (scale.from ?? scale.size) <= size * (1 + 1e-9)) ?? scales[0]!;
}

/** What an axis with this greatest value and step is labelled in. */
function axisScale(unit: Unit, greatest: number, step: number): Scale {
  const { family, scales } = shape(unit);
  const one = perSecond(unit);
  if (family === 'time' && step >= MINUTE * one) {
    const longer = [
      { size: MINUTE * one, suffix: ' min' }, { size: HOUR * one, suffix: ' h' }, { size: DAY * one, suffix: ' d' },
    ];
    return largestBelow(longer, step);
  }
  const scale = largestBelow(scales, greatest);
  // 0.0625 GiB is read worse than 64 MiB.
  return family === 'binary' && decimalsOf(step / scale.size) > 3 ? largestBelow(scales, step) : scale;
}

function label(value: number, scale: Scale, decimals: number): string {
  const scaled = Math.abs(value / scale.size);
  // So many zeros are neither read nor have they room beside a chart.
  const text = scaled >= 1e21 || decimals > 4 ? digits(scaled) : scaled.toFixed(decimals);
  return (value < 0 ? MINUS : '') + text + scale.suffix;
}

/** The unit beside an axis: one that is only a word stands in the heading, where there is room for it. */
export const axisUnit = (unit: Unit): Unit => (Object.hasOwn(SHAPES, unit) ? unit : 'count');

/**
 * Round values from `min` to `max`, about `count` of them (at most 1.25 times as many, and one), ascending. All have the
 * same unit and as many decimals as the step between them needs. Empty if a bound is not finite.
 */
export function axisTicks(min: number, max: number, unit: Unit, count: number): Tick[] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return [];
  if (min > max) [min, max] = [max, min];
  const greatest = Math.max(Math.abs(min), Math.abs(max));
  const span = max - min;
  // Below that, neighbouring ticks would be the same number.
  if (!(span > greatest * 1e-12) || !Number.isFinite(span)) return [{ value: min, label: formatValue(min, unit) }];
  // A little less than asked, so that steps 2.5 apart still give two ticks where two are asked for.
  const step = niceStep((0.8 * span) / Math.min(Math.max(1, Math.floor(count) || 1), 100), unit);
  const scale = axisScale(unit, greatest, step);
  const decimals = decimalsOf(step / scale.size);
  const ticks: Tick[] = [];
  const last = Math.floor(max / step + 1e-9);
  for (let i = Math.ceil(min / step - 1e-9); i <= last; i++) {
    const value = i === 0 ? 0 : Number((i * step).toPrecision(14));
    ticks.push({ value, label: label(value, scale, decimals) });
  }
  return ticks;
}

/** Values that a logarithmic axis may show, every power of the unit's base, or `fine` ones between them. */
function logValues(min: number, max: number, unit: Unit, fine: boolean): number[] {
  const { family } = shape(unit);
  const values: number[] = [];
  const low = Math.max(-300, Math.floor(Math.log10(min)));
  const high = Math.min(300, Math.ceil(Math.log10(max)));
  if (family === 'binary') {
    const step = fine ? 1 : 10;
    for (let i = Math.floor(Math.log2(min) / step) * step; i <= Math.log2(max); i += step) values.push(2 ** i);
  } else {
    const one = family === 'time' ? perSecond(unit) : Infinity;
    for (let i = low; i <= high; i++) {
      for (const factor of fine ? [1, 2, 5] : [1]) {
        const value = Number(`${factor}e${i}`);
        if (value < MINUTE * one) values.push(value);
      }
    }
    if (family === 'time') {
      const longer = fine
        ? [1, 2, 5, 10, 30, 60, 120, 300, 600].map((n) => n * MINUTE).concat([1, 2, 5, 10, 20, 50, 100].map((n) => n * DAY))
        : [MINUTE, 10 * MINUTE, HOUR, 10 * HOUR, 10 * DAY, 100 * DAY, 1000 * DAY];
      values.push(...longer.map((n) => n * one));
    }
  }
  return values.filter((value) => value >= min * (1 - 1e-9) && value <= max * (1 + 1e-9));
}

/**
 * Ticks of a logarithmic axis, each in the unit that fits it. If `min` is not above zero the axis begins at a
 * millionth of `max`; if `max` is not either, there are none.
 */
export function logTicks(min: number, max: number, unit: Unit): Tick[] {
  if (!Number.isFinite(min) || !Number.isFinite(max) || max <= 0) return [];
  if (min <= 0) min = max / 1e6;
  if (min > max) [min, max] = [max, min];
  let values = logValues(min, max, unit, false);
  if (values.length < 3) values = logValues(min, max, unit, true);
  if (values.length < 3) return axisTicks(min, max, unit, 4);
  const every = Math.ceil(values.length / 12);
  return values.filter((_, i) => i % every === 0).map((value) => ({ value, label: formatValue(value, unit) }));
}
