import { useMemo } from 'preact/hooks';
import type { Chart } from '../api/types';
import { difference, gathered, type Drawn, type Heat, type Lines } from '../lib/drawn';
import { countsOf } from '../lib/heat';
import { CELLS, type Shape, type Ways } from '../lib/ways';
import * as view from '../state/view';
import { ColorKey } from './ColorKey';
import { DataTable } from './DataTable';
import { Distribution } from './Distribution';
import { Legend } from './Legend';
import { scaleOf, valuesOf } from './pictures';
import { PlotFrame } from './PlotFrame';

interface Props {
  id: string;
  chart: Chart;
  drawn: Drawn;
  shape: Shape;
  ways: Ways;
  width: number;
  height: number;
  tall: boolean;
  only: Set<string> | null;
}

/** What is under the heading of a chart. */
export function ChartBody(props: Props) {
  const { chart, drawn, shape, ways, width, height } = props;
  const empty = drawn.kind === 'heat' ? drawn.cells.lot.length + (drawn.other?.cells.lot.length ?? 0) === 0 : drawn.lines.length === 0;
  if (empty) return <p class="said">No value in this span of time.</p>;
  if (ways.table) return <DataTable drawn={drawn} unit={chart.unit} />;
  if (drawn.kind === 'lines') return <OfLines {...props} drawn={drawn} />;
  if (shape === 'distribution') return <Distribution title={chart.title} drawn={drawn} unit={chart.unit} width={width} height={height} />;
  return <OfHeat {...props} drawn={drawn} />;
}

/** Narrower charts have A and B one above the other (px). */
export const ROOM_FOR_TWO = 480;

/** Of two that are one above the other, so that their card is about as high as its neighbours. */
const half = (height: number) => Math.max(84, Math.round(height * 0.6));

/** A distribution over time; A and B one above the other, or side by side. */
function OfHeat({ id, chart, drawn, shape, ways, width, height }: Props & { drawn: Heat }) {
  const { other } = drawn;
  const spectrum = shape === 'spectrum';
  const beside = other && view.compare.value.mode === 'side' && width >= ROOM_FOR_TWO;
  const sides = useMemo(() => (other ? [drawn, other] : [drawn]), [drawn]);
  const limits = useMemo(() => (spectrum ? valuesOf(sides) : countsOf(sides.map((s) => s.cells.count))), [sides, spectrum]);
  return (
    <>
      <div class={beside ? 'apart' : ''}>
        {sides.map((heat, side) => (
          <div key={side} class="side-of">
            {other && <h4>{view.inputs.value[side]?.name}</h4>}
            <PlotFrame
              id={other ? `${id}/${side}` : id}
              title={chart.title}
              drawn={heat}
              side={other && side}
              beside={other && sides[1 - side]!}
              shape={spectrum ? 'spectrum' : 'heatmap'}
              stacked={false}
              log={ways.log}
              unit={chart.unit}
              width={beside ? Math.floor(width / 2) - 4 : width}
              height={other && !beside ? half(height) : height}
              only={null}
            />
          </div>
        ))}
      </div>
      <p class="note over-key">
        {spectrum ? (
          <ColorKey low={limits[0]} high={limits[1]} unit={chart.unit} log />
        ) : (
          <>
            <ColorKey low={limits[0]} high={limits[1]} unit="events/s" log />
            <i class="low" /> p50 <i class="high" /> p99
          </>
        )}
      </p>
    </>
  );
}

/** So many parts of a whole are told apart. */
const MOST_BANDS = 20;

function OfLines({ id, chart, drawn, shape, ways, width, height, tall, only }: Props & { drawn: Lines }) {
  const { mode } = view.compare.value;
  const two = view.inputs.value.length > 1;
  const rows = shape === 'rows';
  const compared = two && (mode === 'difference' || mode === 'ratio');
  const stacked = chart.kind === 'stacked' && !compared;
  const shown = useMemo(() => {
    if (compared) return difference(drawn, mode === 'ratio');
    return stacked && !rows ? gathered(drawn, MOST_BANDS, only) : drawn;
  }, [drawn, compared, mode, stacked, rows, only]);
  const apart = two && !compared && (mode === 'side' || rows);
  const sides = useMemo(() => (apart ? [0, 1].map((side) => sideOf(shown, side)) : []), [shown, apart]);
  const unit = compared && mode === 'ratio' ? 'count' : chart.unit;
  const scale = useMemo(() => scaleOf(shown.lines, unit, compared ? (mode as 'difference' | 'ratio') : undefined), [shown, unit, compared, mode]);
  const common = {
    title: chart.title,
    shape: rows ? ('rows' as const) : ('lines' as const),
    stacked,
    // A difference may be below zero.
    log: ways.log && !(compared && mode === 'difference'),
    unit,
    scale,
    height: rows && tall ? Math.min(Math.round(height * 2.4), Math.max(height, shown.lines.length * 9 + 30)) : height,
    only,
  };
  if (!shown.lines.length) return <p class="said">Nothing that both have in this span of time.</p>;
  return (
    <>
      {apart ? (
        <div class={width < ROOM_FOR_TWO ? '' : 'apart'}>
          {sides.map((mine, side) => (
            <div key={side} class="side-of">
              <h4>{view.inputs.value[side]?.name}</h4>
              <PlotFrame {...common} height={width < ROOM_FOR_TWO ? half(common.height) : common.height} id={`${id}/${side}`} side={side} drawn={mine} beside={sides[1 - side]!} width={width < ROOM_FOR_TWO ? width : Math.floor(width / 2) - 4} />
            </div>
          ))}
        </div>
      ) : (
        <PlotFrame {...common} id={id} drawn={shown} width={width} />
      )}
      {two && !compared && <Absent drawn={drawn} />}
      {rows ? (
        <p class="note over-key">
          <ColorKey {...scale} unit={unit} />
        </p>
      ) : (
        <Legend id={id} drawn={shown} only={only} width={width} />
      )}
    </>
  );
}

/** Which of two has nothing here: the lines of the other say nothing of it. */
function Absent({ drawn }: { drawn: Lines }) {
  const absent = view.inputs.value.slice(0, 2).filter((_, side) => !drawn.lines.some((l) => l.side === side));
  return absent.length ? <p class="note">{absent.map((i) => i.name).join(', ')}: no value in this span of time.</p> : null;
}

const sideOf = (drawn: Lines, side: number): Lines => ({
  ...drawn,
  lines: drawn.lines.filter((l) => l.side === side).map((l) => ({ ...l, side: 0 })),
  totals: [drawn.totals?.[side] ?? null],
});

/** What is drawn when nothing was chosen. */
export function usual(chart: Chart, drawn: Drawn): Shape {
  if (drawn.kind === 'heat') return 'heatmap';
  if (chart.kind === 'percentiles') return 'quantiles';
  return chart.kind === 'heatmap' ? 'rows' : 'lines';
}

/** Whether what was answered can be drawn so: after choosing another shape, the answers for it are still to come. */
export const fits = (drawn: Drawn, shape: Shape) => CELLS.has(shape) === (drawn.kind === 'heat');
