import { describe, expect, it } from 'vitest';
import { PAGE, SERIES_COLORS, diffColor, heatColor, mixed, seriesColor, type Rgb } from './palette';

const linear = (channel: number): number => {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
};
const parse = (hex: string): Rgb => [1, 3, 5].map((i) => linear(parseInt(hex.slice(i, i + 2), 16))) as Rgb;
const luminance = ([r, g, b]: Rgb): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const contrast = (a: Rgb, b: Rgb): number => {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
};
const oklab = ([r, g, b]: Rgb): Rgb => {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
  ];
};
const distance = (a: Rgb, b: Rgb): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

const EYES: Record<string, Rgb[]> = {
  usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  'without red': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  'without green': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  'without blue': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
};
const seen = (eye: Rgb[], c: Rgb): Rgb =>
  eye.map((row) => Math.min(1, Math.max(0, row[0] * c[0] + row[1] * c[1] + row[2] * c[2]))) as Rgb;

it('mixes a colour with what is behind', () => {
  expect(mixed('#000000', '#ffffff', 0.5)).toBe('#808080');
  expect(mixed('#000', '#fff', 0.5)).toBe('#808080');
  expect(mixed('#2a6cc9', '#ffffff', 1)).toBe('#2a6cc9');
  expect(mixed('#2a6cc9', '#0a0b0c', 0)).toBe('#0a0b0c');
});

describe.each([['light', false], ['dark', true]] as const)('%s', (theme, dark) => {
  const colours = Array.from({ length: SERIES_COLORS }, (_, i) => parse(seriesColor(i, dark)));

  it('has ten colours or more that stand out from the page', () => {
    expect(SERIES_COLORS).toBeGreaterThanOrEqual(10);
    for (const colour of colours) expect(contrast(colour, parse(PAGE[theme]))).toBeGreaterThanOrEqual(3);
  });

  it.each(Object.entries(EYES))('has colours that differ to eyes: %s', (_, eye) => {
    for (let i = 0; i < colours.length; i++) {
      for (let j = 0; j < i; j++) {
        expect(distance(oklab(seen(eye, colours[i]!)), oklab(seen(eye, colours[j]!))), `${j}, ${i}`).toBeGreaterThan(0.055);
      }
    }
  });

  it('takes any index', () => {
    expect(seriesColor(SERIES_COLORS, dark)).toBe(seriesColor(0, dark));
    expect(seriesColor(-1, dark)).toBe(seriesColor(SERIES_COLORS - 1, dark));
    expect(seriesColor(NaN, dark)).toBe(seriesColor(0, dark));
  });

  const map = (t: number): Rgb => oklab(heatColor(t, dark).map(linear) as Rgb);

  it('has heat in even steps, getting only lighter or only darker', () => {
    const steps = 32;
    const sizes: number[] = [];
    for (let i = 1; i <= steps; i++) {
      const [a, b] = [map((i - 1) / steps), map(i / steps)];
      sizes.push(distance(a, b));
      expect(dark ? b[0] - a[0] : a[0] - b[0]).toBeGreaterThan(0.002);
    }
    expect(Math.max(...sizes) / Math.min(...sizes)).toBeLessThan(1.6);
  });

  it('has heat that begins near the page and ends far from it', () => {
    const page = oklab(parse(PAGE[theme]));
    expect(distance(map(0), page)).toBeLessThan(0.1);
    expect(distance(map(1), page)).toBeGreaterThan(0.6);
    expect(heatColor(NaN, dark)).toEqual(heatColor(0, dark));
    expect(heatColor(7, dark)).toEqual(heatColor(1, dark));
  });

  it('has differences that diverge from near the page', () => {
    const [less, none, more] = [-1, 0, 1].map((t) => oklab(diffColor(t, dark).map(linear) as Rgb));
    expect(Math.hypot(none![1], none![2])).toBeLessThan(0.02);
    expect(distance(none!, oklab(parse(PAGE[theme])))).toBeLessThan(0.1);
    expect(less![2]).toBeLessThan(-0.03);
    expect(more![2]).toBeGreaterThan(0.03);
    for (const eye of Object.values(EYES)) {
      const [a, b] = [-0.5, 0.5].map((t) => oklab(seen(eye, diffColor(t, dark).map(linear) as Rgb)));
      expect(distance(a!, b!)).toBeGreaterThan(0.1);
    }
  });
});
