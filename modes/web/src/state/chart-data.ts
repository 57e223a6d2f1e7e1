import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, getRange, type RangeRequest } from '../api/client';
import { BEHIND, Turns } from '../api/turns';
import type { Chart, Input } from '../api/types';
import { asked, join, withTotals, type Drawn, type Part } from '../lib/drawn';
import { fill } from '../lib/promql';
import { ofCgroups } from '../lib/narrow';
import { totalQuery } from '../lib/stack';
import * as view from './view';

export interface Loaded {
  drawn: Drawn | null;
  error: ApiError | Error | null;
  loading: boolean;
}

interface Wanted {
  chart: Chart;
  points: number;
  start: number;
  end: number;
  inputs: Input[];
  offset: number;
  /** Only these cgroups. */
  cgroups: string[];
  /** And the rest of them as one. */
  others: boolean;
  over: number | null;
  /** Whether the chart is on screen, not only near it. */
  visible: () => boolean;
  format?: 'series' | 'heatmap';
}

/** Answers take the server longest where they are of histograms: they begin first, and the rest is done beside them. */
const [LONG, SHORT] = [0, 1];
const turns = new Turns(4);

/**
 * Answers are shown together, after so many ms or when there are no more: that all is laid out and painted takes as long for one
 * chart as for ten.
 */
const GATHER = 60;
let arrived: (() => void)[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

function arrive(show: () => void) {
  arrived.push(show);
  if (!turns.busy) showAll();
  else timer ??= setTimeout(showAll, GATHER);
}

function showAll() {
  clearTimeout(timer);
  timer = undefined;
  const all = arrived;
  arrived = [];
  for (const show of all) show();
}

/** A query of a chart as it is asked. */
interface Asked {
  query: string;
  legend: string;
  quantiles?: number[];
  /** With the sum of all series. */
  total?: boolean;
  /** Of the evaluation, where it must be that of something else. */
  step?: number;
}

/** Asks each query of each input. `$interval` is the server's to fill in, who knows the step, unless the page's own choice is there. */
async function ask(wanted: Wanted, queries: Asked[], signal: AbortSignal): Promise<Part[]> {
  const both = wanted.inputs.length > 1;
  const sides = both ? wanted.inputs.slice(0, 2) : [undefined];
  const requests = sides.flatMap((input, side) =>
    queries.map(async ({ query, legend, quantiles, step, total }): Promise<Part> => {
      const variables: Record<string, string> = {};
      if (wanted.over !== null) variables.interval = `${Math.round(wanted.over * 1000)}ms`;
      const shift = side === 1 ? wanted.offset : 0;
      const request: RangeRequest = {
        query: fill(query, variables),
        start: wanted.start + shift,
        end: wanted.end + shift,
        points: wanted.points,
        ...(step ? { step } : {}),
        ...(quantiles ? { quantiles: quantiles.join(',') } : {}),
        ...(total ? { total: '1' as const } : {}),
        ...(wanted.format ? { format: wanted.format } : {}),
        ...(input ? { input: input.name } : {}),
      };
      const rank = () => (!wanted.visible() ? BEHIND : quantiles || wanted.format === 'heatmap' ? LONG : SHORT);
      const answer = await turns.run(rank, () => getRange(request, signal), signal);
      const part: Part = { legend, answer, side, shift: -shift };
      if (quantiles) part.quantiles = quantiles;
      // The sum comes last.
      const sum = total && answer.kind === 'series' ? answer.series.pop() : undefined;
      return sum ? { ...part, total: sum } : part;
    }),
  );
  return Promise.all(requests);
}

/** What a chart draws. */
export async function loadChart(wanted: Wanted, signal: AbortSignal): Promise<Drawn | null> {
  const queries: Asked[] = ofCgroups(asked(wanted.chart), wanted.cgroups, wanted.others && wanted.format !== 'heatmap');
  const only = wanted.chart.kind === 'stacked' && wanted.format !== 'heatmap' && queries.length === 1;
  const parts = await ask(wanted, only ? [{ ...queries[0]!, total: true }] : queries, signal);
  const drawn = join(parts, wanted.cgroups);
  const reduced = parts.some((p) => p.answer.kind === 'series' && p.answer.reduced);
  if (wanted.chart.kind !== 'stacked' || drawn?.kind !== 'lines' || !reduced) return drawn;
  const sums = parts.flatMap((p): Part[] => (p.total && p.answer.kind === 'series' ? [{ ...p, answer: { ...p.answer, series: [p.total] } }] : []));
  if (sums.length) return withTotals(drawn, sums);
  const total: Asked = { query: totalQuery(queries.map((q) => q.query)), legend: '', step: drawn.step / drawn.per };
  // Without it the chart says what bounds the total.
  return ask(wanted, [total], signal).then((totals) => withTotals(drawn, totals), () => drawn);
}

/** Data for a chart while it is `near` the screen; aborted when it leaves, or something else is wanted. */
export function useChartData(chart: Chart, near: boolean, visible: () => boolean, width: number, format?: 'series' | 'heatmap'): Loaded {
  const [loaded, setLoaded] = useState<Loaded>({ drawn: null, error: null, loading: true });
  const have = useRef(false);
  const { start, end } = view.range.value;
  // What does not change within an input; its end does while it is live.
  const inputs = view.inputs.value;
  const names = inputs.map((i) => `${i.name} ${i.start}`).join('|') + view.loads.value;
  const cgroups = (view.selected.value.cgroups ?? []).join('\n');
  const others = view.withOthers.value;
  const offset = view.compare.value.offset;
  const over = view.rateOver.value;
  const points = Math.max(50, Math.min(2000, Math.floor(width / 50) * 50));
  useEffect(() => {
    if (!near || width <= 0 || !inputs.length) return;
    const abort = new AbortController();
    const wanted: Wanted = {
      chart,
      points,
      start,
      end,
      inputs,
      offset,
      over,
      cgroups: cgroups ? cgroups.split('\n') : [],
      others,
      visible,
      ...(format ? { format } : {}),
    };
    const run = async () => {
      try {
        const drawn = await loadChart(wanted, abort.signal);
        arrive(() => {
          if (abort.signal.aborted) return;
          have.current = true;
          setLoaded({ drawn, error: null, loading: false });
        });
      } catch (error) {
        if (abort.signal.aborted) return;
        // Where nobody answers, what there was stays: the page says so, and asks again when somebody does.
        if (error instanceof ApiError || !have.current) setLoaded({ drawn: null, error: error as Error, loading: false });
        else setLoaded((last) => ({ ...last, loading: false }));
      }
    };
    // The first is asked at once; while panning, only where it comes to rest.
    const timer = setTimeout(run, have.current && !view.live.value ? 40 : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [chart, near, points, start, end, names, offset, over, cgroups, others, format]);
  return loaded;
}
