import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import type { Drawn } from '../lib/drawn';
import { unknown } from '../lib/promql';
import { readWays, shaped, shapesOf, writeWays, CELLS, type Ways } from '../lib/ways';
import { useChartData } from '../state/chart-data';
import * as view from '../state/view';
import { ChartBody, fits, ROOM_FOR_TWO, usual } from './ChartBody';
import { ChartMenu } from './ChartMenu';
import { ROOM } from './frame';
import { QueryError } from './QueryError';

interface Props {
  id: string;
  chart: Chart;
  height?: number;
  /** Whether it may be higher where it has many rows. */
  tall?: boolean;
  /** What its title is on its page. */
  heading?: 'h2' | 'h3';
  /** How it is shown unless the address says. */
  as?: string[] | undefined;
  /** Takes it off the page. */
  remove?: (() => void) | undefined;
}

/** How many pixels there are for what is drawn: more lots than that would be lost where they are columns. */
function drawnWidth(width: number) {
  const apart = view.inputs.value.length > 1 && view.compare.value.mode === 'side' && width >= ROOM_FOR_TWO;
  return (apart ? Math.floor(width / 2) - 4 : width) - ROOM.left - ROOM.right;
}

/** How far beyond the screen a card is near it (px). */
const NEAR = 240;

/** Whether an element is on screen or nearly so, and how wide it is. */
function useSeen() {
  const ref = useRef<HTMLElement>(null);
  const [near, setNear] = useState(false);
  const [width, setWidth] = useState(0);
  // Known before anything is painted, so that asking for data begins a frame earlier than the observers do.
  useLayoutEffect(() => {
    const { top, bottom } = ref.current!.getBoundingClientRect();
    const { paddingLeft, paddingRight } = getComputedStyle(ref.current!);
    setNear(bottom > -NEAR && top < innerHeight + NEAR);
    setWidth(Math.floor(ref.current!.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)));
  }, []);
  useEffect(() => {
    const element = ref.current!;
    const seen = new IntersectionObserver(([entry]) => setNear(entry!.isIntersecting), { rootMargin: `${NEAR}px` });
    const sized = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    seen.observe(element);
    sized.observe(element);
    return () => {
      seen.disconnect();
      sized.disconnect();
    };
  }, []);
  const visible = () => {
    // None any more where it has left the page.
    const { top, bottom } = ref.current?.getBoundingClientRect() ?? { top: Infinity, bottom: 0 };
    return bottom > 0 && top < innerHeight;
  };
  return { ref, near, visible, width };
}

export function ChartCard({ id, chart, height = view.small.value ? 84 : 180, tall = true, heading: Heading = 'h3', as = [], remove }: Props) {
  const { ref, near, visible, width } = useSeen();
  const key = `as/${id}`;
  const ways = readWays(chart, view.selected.value[key] ?? as);
  // None of the ways is not the same as not having chosen, where something else is the usual.
  const change = (next: Ways) => {
    const words = writeWays(chart, next);
    view.choose(key, words.length || !as.length ? words : ['usual']);
  };
  const asked = useMemo(() => shaped(chart, ways.shape), [chart, ways.shape]);
  const chosen = view.selected.value[id];
  const only = useMemo(() => (chosen ? new Set(chosen) : null), [chosen]);
  const canvases = () => [...(ref.current?.querySelectorAll<HTMLCanvasElement>('.plot canvas') ?? [])];
  const format = ways.shape && CELLS.has(ways.shape) ? 'heatmap' : undefined;
  const { drawn, error, loading } = useChartData(asked, near, visible, drawnWidth(width), format);
  // That its queries give distributions is known from then on, also while it is drawn otherwise.
  const cells = useRef(false);
  if (drawn?.kind === 'heat' && asked.queries === chart.queries) cells.current = true;
  const shapes = shapesOf(chart, cells.current);
  const shape = ways.shape ?? (drawn && usual(chart, drawn));
  const ratio = drawn?.kind === 'lines' && view.inputs.value.length > 1 && view.compare.value.mode === 'ratio';
  const ready = drawn && shape && fits(drawn, shape);
  return (
    <article class="card" ref={ref} aria-label={chart.title} aria-busy={loading}>
      <header>
        <Heading title={chart.description}>{chart.title}</Heading>
        <span class="unit">{ratio ? 'B / A' : chart.unit === 'count' ? '' : chart.unit}</span>
        <ChartMenu chart={chart} drawn={drawn} only={only} canvases={canvases} ways={ways} shapes={shapes} change={change} remove={remove} />
      </header>
      {error ? (
        <QueryError error={error} />
      ) : ready ? (
        <ChartBody id={id} chart={asked} drawn={drawn} shape={shape} ways={ways} width={width} height={height} tall={tall} only={only} />
      ) : (
        <div class="waiting" style={{ height: `${height}px` }} />
      )}
      {drawn && <Notes drawn={drawn} all={id.startsWith('explore/')} />}
    </article>
  );
}

/** What the server remarks: what warns always, the rest where one looks closely, since it is of most charts. */
function Notes({ drawn: { warnings, infos }, all }: { drawn: Drawn; all: boolean }) {
  const counters = new Set(view.metrics.value?.flatMap((m) => (m.type === 'counter' ? [m.name] : [])));
  return (
    <>
      {warnings.map((text) => (
        <p key={text} class="note warned">
          {text}
        </p>
      ))}
      {all &&
        unknown(infos, counters).map((text) => (
          <p key={text} class="note">
            {text}
          </p>
        ))}
    </>
  );
}
