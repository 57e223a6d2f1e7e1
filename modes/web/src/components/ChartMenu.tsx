import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import type { Drawn } from '../lib/drawn';
import { writeWays, type Shape, type Ways } from '../lib/ways';
import { pin } from '../state/notebook';
import { copyLink, legendOf, saveCsv, savePng, saveSvg } from './save';
import * as view from '../state/view';

interface Props {
  chart: Chart;
  drawn: Drawn | null;
  /** Keys of lines that are drawn; null: all. */
  only: Set<string> | null;
  /** What is drawn, now. */
  canvases: () => HTMLCanvasElement[];
  ways: Ways;
  /** What it can be shown as; the first is how it is unless something is chosen. */
  shapes: Shape[];
  change: (ways: Ways) => void;
  remove: (() => void) | undefined;
}

const NAMES: Record<Shape, string> = {
  lines: 'Lines',
  rows: 'Heatmap, a row each',
  quantiles: 'Quantiles',
  heatmap: 'Heatmap',
  spectrum: 'Quantile spectrum',
  distribution: 'Distribution at an instant',
};

/** What can be done with a chart. Closes with Escape, by leaving it, and after doing something. */
export function ChartMenu({ chart, drawn, only, canvases, ways, shapes, change, remove }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  // Not after a frame: keys that follow at once would be for something else.
  useLayoutEffect(() => {
    if (open) root.current?.querySelector<HTMLElement>('[role^=menuitem]')?.focus();
  }, [open]);
  const trigger = () => root.current?.querySelector('button');
  // What was pressed goes with the menu: the focus stays with its chart.
  const act = (what: () => void) => () => {
    trigger()?.focus();
    setOpen(false);
    what();
  };
  const keys = (event: KeyboardEvent) => {
    const items = [...root.current!.querySelectorAll<HTMLElement>('[role^=menuitem]')];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'Escape') {
      setOpen(false);
      trigger()?.focus();
    } else if (event.key === 'ArrowDown') items[(at + 1) % items.length]?.focus();
    else if (event.key === 'ArrowUp') items.at(at - 1)?.focus();
    else if (event.key === 'Home') items[0]?.focus();
    else if (event.key === 'End') items.at(-1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const explore = () => {
    view.explore(chart.queries, chart.kind, chart.unit);
    document.getElementById('content')?.focus();
  };
  const lines = drawn?.kind === 'lines' ? drawn : null;
  const shape = ways.shape ?? shapes[0];
  const lineLike = shape === 'lines' || shape === 'quantiles';
  const choose = (s: Shape) => change({ ...ways, table: false, shape: s === shapes[0] ? null : s, log: s === 'quantiles' });
  return (
    <div
      class="menu"
      ref={root}
      onKeyDown={open ? keys : undefined}
      onFocusOut={(e) => !root.current?.contains(e.relatedTarget as Node) && setOpen(false)}
    >
      <button
        class="icon"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={`menu of ${chart.title}`}
        onClick={() => setOpen(!open)}
      >
        ⋯
      </button>
      {open && (
        <div role="menu">
          {chart.description && (
            <p role="none" class="note">
              {chart.description}
            </p>
          )}
          <button role="menuitemcheckbox" aria-checked={ways.table} onClick={act(() => change({ ...ways, table: !ways.table }))}>
            Table of values
          </button>
          {lines && lineLike && chart.kind !== 'stacked' && (
            <button role="menuitemcheckbox" aria-checked={ways.log} onClick={act(() => change({ ...ways, log: !ways.log }))}>
              Logarithmic axis
            </button>
          )}
          {shapes.length > 1 && <hr />}
          {shapes.length > 1 &&
            shapes.map((s) => (
              <button key={s} role="menuitemradio" aria-checked={s === shape} onClick={act(() => choose(s))}>
                {s === 'lines' && chart.kind === 'stacked' ? 'Stacked' : NAMES[s]}
              </button>
            ))}
          <hr />
          {canvases().length > 0 && (
            <button role="menuitem" onClick={act(() => savePng(chart.title, canvases(), lines && lineLike ? legendOf(lines, only) : []))}>
              Save as PNG
            </button>
          )}
          {lines && (
            <button role="menuitem" onClick={act(() => saveSvg(chart, lines, only, lineLike && ways.log))}>
              Save as SVG
            </button>
          )}
          {lines && (
            <button role="menuitem" onClick={act(() => saveCsv(chart.title, lines, only))}>
              Save as CSV
            </button>
          )}
          <button role="menuitem" onClick={act(copyLink)}>
            Copy link
          </button>
          <button role="menuitem" onClick={act(explore)}>
            Open in explorer
          </button>
          <button role="menuitem" onClick={act(() => pin(chart, writeWays(chart, ways)))}>
            Add to notebook
          </button>
          {remove && (
            <button role="menuitem" onClick={act(remove)}>
              Remove from this page
            </button>
          )}
        </div>
      )}
    </div>
  );
}
