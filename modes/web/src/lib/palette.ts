/**
 * Colours of lines and of heat, for the light and the dark page.
 *
 * The categorical palettes were chosen by a search in OKLab: of all colours of a middle lightness and chroma that have a
 * contrast of 3.2:1 or more against the page (`PAGE`), begin with a blue, and add again and again the one that is furthest
 * from all chosen ones, as seen by the worst of four kinds of eyes: usual, without red, green or blue cones (Machado et al. 2009,
 * severity 1). The nearest two of ten are more than 0.055 apart to each of them, where 0.02 is just noticeable;
 * `palette.test.ts` measures that. The order is that of the search, so that few lines have the most different colours.
 */

export type Rgb = [number, number, number];

/** What is behind charts; what contrast is measured against. */
export const PAGE = { light: '#ffffff', dark: '#15181d' } as const;

const LIGHT = ['#2a6cc9', '#db7213', '#8b0f49', '#746208', '#ac7eba', '#4d359d', '#a94088', '#7986f2', '#67386c', '#c74a49'];
const DARK = ['#5ea2ed', '#c5521c', '#f0d03c', '#4cece7', '#925cc4', '#ef869e', '#a7a435', '#388d68', '#a4d494', '#cd67b7'];

/** How many colours there are before they come again. */
export const SERIES_COLORS = LIGHT.length;

/** The index of what is no single series but the rest of them: a grey, which is none of the others' colours. */
export const REST = Infinity;

/** The colour of the series with this index, as `#rrggbb`; the same for an index for ever, again after `SERIES_COLORS`. */
export function seriesColor(index: number, dark: boolean): string {
  if (index === REST) return dark ? '#8b929c' : '#767d87';
  const palette = dark ? DARK : LIGHT;
  const i = Number.isFinite(index) ? Math.trunc(index) % palette.length : 0;
  return palette[i < 0 ? i + palette.length : i]!;
}

/** What is seen where a colour that covers a part of what is behind it lies over another, all as `#rrggbb` or `#rgb`. */
export function mixed(over: string, behind: string, part: number): string {
  const twice = (color: string) => (color.length === 4 ? color.replace(/[^#]/g, '$&$&') : color);
  const channels = (color: string) => [1, 3, 5].map((at) => parseInt(twice(color).slice(at, at + 2), 16));
  const ground = channels(behind);
  const both = channels(over).map((channel, i) => Math.round(channel * part + ground[i]! * (1 - part)));
  return `#${both.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** Lightness, chroma and hue (degrees) in OKLCh. */
type Lch = [number, number, number];

/** Both ends and the way between them: hue goes by at even steps, chroma is greatest in the middle. */
const HEAT = {
  light: [[0.965, 0.03, 105], [0.83, 0.12, 150], [0.62, 0.12, 215], [0.44, 0.14, 265], [0.27, 0.1, 285]] as Lch[],
  dark: [[0.235, 0.03, 275], [0.4, 0.13, 290], [0.58, 0.17, 350], [0.76, 0.15, 55], [0.96, 0.09, 100]] as Lch[],
};

/** From less to more, through what does not stand out from the page. */
const DIFF = {
  light: [[0.36, 0.13, 262], [0.66, 0.12, 250], [0.95, 0.005, 250], [0.7, 0.13, 50], [0.42, 0.13, 35]] as Lch[],
  dark: [[0.86, 0.09, 235], [0.6, 0.13, 255], [0.26, 0.008, 260], [0.6, 0.14, 40], [0.87, 0.1, 70]] as Lch[],
};

function gamma(linear: number): number {
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
}

type Lab = [number, number, number];

function linearRgb([lightness, a, b]: Lab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function lab([lightness, chroma, hue]: Lch): Lab {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/** What a screen shows of it: with as much of its chroma as there is room for. */
function shown(colour: Lab): Lab {
  for (let part = 1; part > 0; part -= 0.02) {
    const less: Lab = [colour[0], colour[1] * part, colour[2] * part];
    if (linearRgb(less).every((channel) => channel >= 0 && channel <= 1)) return less;
  }
  return [colour[0], 0, 0];
}

/** A smooth curve through the points (Catmull-Rom), at `t` from 0 to 1. */
function curve(points: Lab[], t: number): Lab {
  const at = Math.min(t * (points.length - 1), points.length - 1 - 1e-9);
  const i = Math.floor(at);
  const u = at - i;
  const [p, q] = [points[i]!, points[i + 1]!];
  const [before, after] = [points[i - 1] ?? p, points[i + 2] ?? q];
  return [0, 1, 2].map((k) => {
    const [a, b, c, d] = [before[k]!, p[k]!, q[k]!, after[k]!];
    return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)));
  }) as Lab;
}

const ENTRIES = 256;

/** A map of `ENTRIES` colours, equally far from each other in OKLab. */
function evenly(points: Lch[]): Rgb[] {
  const fine = 2048;
  const colours = Array.from({ length: fine + 1 }, (_, i) => shown(curve(points.map(lab), i / fine)));
  const lengths = [0];
  for (let i = 1; i <= fine; i++) {
    const [a, b] = [colours[i - 1]!, colours[i]!];
    lengths.push(lengths[i - 1]! + Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]));
  }
  const table: Rgb[] = [];
  for (let i = 0, at = 0; i < ENTRIES; i++) {
    const wanted = (lengths[fine]! * i) / (ENTRIES - 1);
    while (at < fine && lengths[at]! < wanted) at++;
    table.push(linearRgb(colours[at]!).map((c) => Math.round(255 * gamma(Math.min(1, Math.max(0, c))))) as Rgb);
  }
  return table;
}

const tables = new Map<Lch[], Rgb[]>();

function lookup(points: Lch[], t: number): Rgb {
  let table = tables.get(points);
  if (!table) {
    const middle = points.length >> 1;
    // A diverging map is two, so that nothing is in its middle.
    const both = points === DIFF.light || points === DIFF.dark;
    table = both ? [...evenly(points.slice(0, middle + 1)), ...evenly(points.slice(middle)).slice(1)] : evenly(points);
    tables.set(points, table);
  }
  const i = Math.round(Math.min(1, Math.max(0, t || 0)) * (table.length - 1));
  const [r, g, b] = table[i]!;
  return [r, g, b];
}

/** Of little (0, near the page) to much (1), evenly to the eye, lightness always going one way. Channels 0 to 255. */
export function heatColor(t: number, dark: boolean): Rgb {
  return lookup(dark ? HEAT.dark : HEAT.light, t);
}

/** Of less (-1, blue) over equal (0, near the page) to more (1, orange). Channels 0 to 255; NaN is 0. */
export function diffColor(t: number, dark: boolean): Rgb {
  return lookup(dark ? DIFF.dark : DIFF.light, ((t || 0) + 1) / 2);
}
