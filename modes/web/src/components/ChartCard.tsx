import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import { difference, type Drawn, type Lines } from '../lib/drawn';
import { useChartData } from '../state/chart-data';
import * as view from '../state/view';
import { ChartMenu, type Ways } from './ChartMenu';
import { DataTable } from './DataTable';
import { Legend } from './Legend';
import { PlotFrame } from './PlotFrame';
import { QueryError } from './QueryError';

interface Props {
  id: string;
  chart: Chart;
  height?: number;
}

/** Whether an element is on screen or nearly so, and how wide it is. */
function useSeen() {
  const ref = useRef<HTMLElement>(null);
  const [near, setNear] = useState(false);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = ref.current!;
    const seen = new IntersectionObserver(([entry]) => setNear(entry!.isIntersecting), { rootMargin: '240px' });
    const sized = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    seen.observe(element);
    sized.observe(element);
    return () => {
      seen.disconnect();
      sized.disconnect();
    };
  }, []);
  return { ref, near, width };
}

export function ChartCard({ id, chart, height = 180 }: Props) {
  const { ref, near, width } = useSeen();
  const [ways, change] = useState<Ways>({ table: false, log: chart.kind === 'percentiles', heat: chart.kind === 'heatmap' });
  const [canvas, setCanvas] = useState<HTMLCanvasElement | null>(null);
  const { drawn, error, loading } = useChartData(chart, near && !chart.missing, width);
  return (
    <section
      class={`card ${chart.missing ? 'missing-card' : ''}`}
      ref={ref}
      aria-label={chart.title}
      aria-busy={loading && !chart.missing}
    >
      <header>
        <h3 title={chart.description}>{chart.title}</h3>
        <span class="unit">{chart.unit === 'count' ? '' : chart.unit}</span>
        {!chart.missing && <ChartMenu chart={chart} drawn={drawn} canvas={canvas} ways={ways} change={change} />}
      </header>
      {chart.missing ? (
        <p class="said">{chart.missing}</p>
      ) : error ? (
        <QueryError error={error} />
      ) : drawn ? (
        <Body id={id} chart={chart} drawn={drawn} ways={ways} width={width} height={height} canvas={setCanvas} />
      ) : (
        <div class="waiting" style={{ height: `${height}px` }} />
      )}
      {drawn && <Notes drawn={drawn} open={id.startsWith('explore/')} />}
    </section>
  );
}

/** What the server remarks: what warns always, the rest where it is asked for. */
function Notes({ drawn: { warnings, infos }, open }: { drawn: Drawn; open: boolean }) {
  return (
    <>
      {warnings.map((text) => (
        <p key={text} class="note warned">
          {text}
        </p>
      ))}
      {infos.length > 0 && (
        <details class="note" open={open}>
          <summary>{infos.length === 1 ? 'a remark' : `${infos.length} remarks`}</summary>
          {infos.join(' ')}
        </details>
      )}
    </>
  );
}

interface BodyProps {
  id: string;
  chart: Chart;
  drawn: Drawn;
  ways: Ways;
  width: number;
  height: number;
  canvas: (canvas: HTMLCanvasElement) => void;
}

function Body({ id, chart, drawn, ways, width, height, canvas }: BodyProps) {
  const chosen = view.selected.value[id];
  const only = chosen ? new Set(chosen) : null;
  const { mode } = view.compare.value;
  const two = view.inputs.value.length > 1 && drawn.kind === 'lines';
  const apart = two && (mode === 'side' || ways.heat);
  const shown = useMemo(
    () => (two && (mode === 'difference' || mode === 'ratio') ? difference(drawn as Lines, mode === 'ratio') : drawn),
    [drawn, two, mode],
  );
  const sides = useMemo(() => (apart ? [0, 1].map((side) => sideOf(drawn as Lines, side)) : []), [drawn, apart]);
  if (drawn.kind === 'lines' && drawn.lines.length === 0) return <p class="said">No value in this span of time.</p>;
  const rows = drawn.kind === 'lines' && ways.heat ? Math.min(420, Math.max(height, drawn.lines.length * 9 + 30)) : height;
  const common = {
    id,
    title: chart.title,
    stacked: chart.kind === 'stacked',
    log: ways.log,
    unit: chart.unit,
    height: rows,
    only,
  };
  if (ways.table) return <DataTable drawn={drawn} unit={chart.unit} />;
  const unit = two && mode === 'ratio' ? 'count' : chart.unit;
  return (
    <>
      {apart ? (
        <div class="apart">
          {sides.map((mine, side) => (
            <PlotFrame
              key={side}
              {...common}
              id={`${id}/${side}`}
              drawn={mine}
              heat={ways.heat}
              width={Math.floor(width / 2) - 4}
            />
          ))}
        </div>
      ) : (
        <PlotFrame
          {...common}
          unit={unit}
          stacked={common.stacked && shown === drawn}
          drawn={shown}
          heat={ways.heat}
          width={width}
          canvas={canvas}
        />
      )}
      {shown.kind === 'lines' && !ways.heat && <Legend id={id} drawn={shown} only={only} />}
      {drawn.kind === 'heat' && (
        <p class="note over-key">
          <i class="low" /> p50 <i class="high" /> p99
        </p>
      )}
    </>
  );
}

const sideOf = (drawn: Lines, side: number): Lines => ({
  ...drawn,
  lines: drawn.lines.filter((l) => l.side === side).map((l) => ({ ...l, side: 0 })),
});
