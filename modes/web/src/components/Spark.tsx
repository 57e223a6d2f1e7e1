import { useEffect, useRef } from 'preact/hooks';
import { getRange } from '../api/client';
import { fill } from '../lib/promql';
import { seriesColor } from '../lib/palette';
import * as view from '../state/view';

const WIDTH = 160;
const HEIGHT = 40;

/** A small line of a query over what is on screen, asked for when it comes into sight. */
export function Spark({ query }: { query: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { start, end } = view.range.value;
  const dark = view.dark.value;
  useEffect(() => {
    const abort = new AbortController();
    const draw = async () => {
      const filled = fill(query, { interval: `${Math.round(2000 * view.interval.peek())}ms` });
      const answer = await getRange({ query: filled, start, end, points: WIDTH / 2, format: 'series' }, abort.signal);
      if (answer.kind === 'series' && canvas.current) stroke(canvas.current, answer.series[0]?.mean ?? new Float64Array(), dark);
    };
    const seen = new IntersectionObserver(([entry]) => {
      if (!entry!.isIntersecting) return;
      seen.disconnect();
      draw().catch(() => undefined);
    });
    seen.observe(canvas.current!);
    return () => {
      seen.disconnect();
      abort.abort();
    };
  }, [query, start, end, dark]);
  return <canvas ref={canvas} class="spark" width={WIDTH * 2} height={HEIGHT * 2} aria-hidden="true" />;
}

function stroke(canvas: HTMLCanvasElement, values: Float64Array, dark: boolean) {
  const context = canvas.getContext('2d')!;
  context.clearRect(0, 0, canvas.width, canvas.height);
  let high = 0;
  for (const v of values) if (v > high) high = v;
  const x = (i: number) => (i / Math.max(1, values.length - 1)) * canvas.width;
  const y = (v: number) => canvas.height - 3 - (high > 0 ? v / high : 0) * (canvas.height - 6);
  context.beginPath();
  values.forEach((v, i) =>
    Number.isNaN(v) ? undefined : i && !Number.isNaN(values[i - 1]!) ? context.lineTo(x(i), y(v)) : context.moveTo(x(i), y(v)),
  );
  context.strokeStyle = seriesColor(0, dark);
  context.lineWidth = 2.5;
  context.stroke();
}
