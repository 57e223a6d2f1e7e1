import type uPlot from 'uplot';
import type { Column } from '../lib/envelope';

/** What is filled under or around a line: from `top` down to `foot`, or to the foot of the plot. */
export interface Area {
  top: Column;
  foot: Column | null;
}

/**
 * A line and its area as two paths of uPlot. A band of uPlot's does the same by clipping, which takes several times as long where
 * no graphics card does it.
 */
export const filling =
  (area: Area | null): uPlot.Series.PathBuilder =>
  (u, index, from, to) => {
    const { x, y } = places(u, index, from, to);
    const stroke = new Path2D();
    run(u.data[index] as Column, from, to, (first, last, values) => {
      stroke.moveTo(x(first), y(values[first]!));
      for (let i = first + 1; i <= last; i++) stroke.lineTo(x(i), y(values[i]!));
    });
    if (!area) return { stroke, fill: null };
    const fill = new Path2D();
    const floor = y(Math.max(0, u.scales.y!.min!));
    const foot = (i: number) => (area.foot ? y(area.foot[i] ?? area.top[i]!) : floor);
    run(area.top, from, to, (first, last, values) => {
      fill.moveTo(x(first), y(values[first]!));
      for (let i = first + 1; i <= last; i++) fill.lineTo(x(i), y(values[i]!));
      for (let i = last; i >= first; i--) fill.lineTo(x(i), foot(i));
      fill.closePath();
    });
    return { stroke, fill };
  };

/** Calls `each` with the first and last index of what has no gap in it. */
function run(values: Column, from: number, to: number, each: (first: number, last: number, values: Column) => void) {
  for (let i = from; i <= to; i++) {
    if (values[i] == null) continue;
    const first = i;
    while (i < to && values[i + 1] != null) i++;
    each(first, i, values);
  }
}

/** Where on the canvas times and values are, in its pixels; what a logarithmic axis has no place for is at its foot. */
function places(u: uPlot, index: number, from: number, to: number) {
  const times = u.data[0]!;
  const [start, end] = [u.valToPos(times[from]!, 'x', true), u.valToPos(times[to]!, 'x', true)];
  const wide = times[to]! - times[from]! || 1;
  const scale = u.scales[u.series[index]!.scale!]!;
  const { top, height } = u.bbox;
  const log = scale.distr === 3;
  const [low, high] = [scale.min!, scale.max!].map((v) => (log ? Math.log(v) : v)) as [number, number];
  return {
    x: (i: number) => start + ((end - start) * (times[i]! - times[from]!)) / wide,
    y: (value: number) => {
      const place = log ? (value > 0 ? Math.log(value) : low) : value;
      return top + height * (1 - (place - low) / (high - low));
    },
  };
}
