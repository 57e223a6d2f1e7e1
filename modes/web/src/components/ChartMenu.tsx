import { useEffect, useRef, useState } from 'preact/hooks';
import type { Chart } from '../api/types';
import type { Drawn } from '../lib/drawn';
import { copyLink, saveCsv, savePng, saveSvg } from './save';
import * as view from '../state/view';

export interface Ways {
  table: boolean;
  log: boolean;
  heat: boolean;
}

interface Props {
  chart: Chart;
  drawn: Drawn | null;
  canvas: HTMLCanvasElement | null;
  ways: Ways;
  change: (ways: Ways) => void;
}

/** What can be done with a chart. Closes with Escape, by leaving it, and after doing something. */
export function ChartMenu({ chart, drawn, canvas, ways, change }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (open) root.current?.querySelector<HTMLElement>('[role^=menuitem]')?.focus();
  }, [open]);
  const act = (what: () => void) => () => {
    setOpen(false);
    what();
  };
  const keys = (event: KeyboardEvent) => {
    const items = [...root.current!.querySelectorAll<HTMLElement>('[role^=menuitem]')];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'Escape') {
      setOpen(false);
      root.current?.querySelector('button')?.focus();
    } else if (event.key === 'ArrowDown') items[(at + 1) % items.length]?.focus();
    else if (event.key === 'ArrowUp') items.at(at - 1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const explore = () => {
    view.queries.value = chart.queries.map((q) => q.query);
    view.page.value = 'explore';
  };
  const lines = drawn?.kind === 'lines' ? drawn : null;
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
          <button role="menuitemcheckbox" aria-checked={ways.table} onClick={act(() => change({ ...ways, table: !ways.table }))}>
            Table of values
          </button>
          {lines && chart.kind !== 'heatmap' && (
            <button role="menuitemcheckbox" aria-checked={ways.heat} onClick={act(() => change({ ...ways, heat: !ways.heat }))}>
              As heatmap
            </button>
          )}
          {lines && chart.kind !== 'stacked' && !ways.heat && (
            <button role="menuitemcheckbox" aria-checked={ways.log} onClick={act(() => change({ ...ways, log: !ways.log }))}>
              Logarithmic axis
            </button>
          )}
          <hr />
          {canvas && (
            <button role="menuitem" onClick={act(() => savePng(chart.title, canvas))}>
              Save as PNG
            </button>
          )}
          {lines && (
            <button role="menuitem" onClick={act(() => saveSvg(chart, lines))}>
              Save as SVG
            </button>
          )}
          {lines && (
            <button role="menuitem" onClick={act(() => saveCsv(chart.title, lines))}>
              Save as CSV
            </button>
          )}
          <button role="menuitem" onClick={act(copyLink)}>
            Copy link
          </button>
          <button role="menuitem" onClick={act(explore)}>
            Open in explorer
          </button>
        </div>
      )}
    </div>
  );
}
