import { useState } from 'preact/hooks';
import type { Lines } from '../lib/drawn';
import { seriesColor } from '../lib/palette';
import * as view from '../state/view';

const MOST = 12;
/** Rows of names under a chart, and about how wide they are (px). */
const ROWS = 3;
const NAME = { apart: 28, letter: 6.3 };

/** How many of the names have room in a few rows. */
function fitting(labels: string[], width: number): number {
  let [rows, x] = [1, 0];
  for (const [i, label] of labels.entries()) {
    const wide = Math.min(width, NAME.apart + label.length * NAME.letter);
    if (x > 0 && x + wide > width) [rows, x] = [rows + 1, 0];
    if (rows > ROWS || i >= MOST) return Math.max(1, i);
    x += wide;
  }
  return labels.length;
}

/** A button for each line: a click shows it alone, with shift or ctrl beside others. */
export function Legend({ id, drawn, only, width }: { id: string; drawn: Lines; only: Set<string> | null; width: number }) {
  const [all, setAll] = useState(false);
  const seen = new Set<string>();
  const lines = drawn.lines.filter((l) => !seen.has(l.key) && seen.add(l.key));
  const two = drawn.lines.some((l) => l.side);
  if (lines.length < 2 && !lines[0]?.label && !two) return null;
  const choose = (key: string, more: boolean) => {
    const now = new Set(only ?? []);
    const alone = only?.size === 1 && only.has(key);
    if (more) now.has(key) ? now.delete(key) : now.add(key);
    const next = more ? [...now] : alone ? [] : [key];
    view.choose(id, next);
  };
  const most = fitting(lines.map((l) => l.label), width - 60);
  const shown = all ? lines : lines.slice(0, most);
  return (
    <div class="legend">
      {two &&
        view.inputs.value.slice(0, 2).map((input, side) => (
          <span key={input.name} class="side">
            <i class={side ? 'dashed' : 'solid'} /> {input.name}
          </span>
        ))}
      {shown.map((line) => (
        <button
          key={line.key}
          aria-pressed={!only || only.has(line.key)}
          class={only && !only.has(line.key) ? 'off' : ''}
          title={`${line.label}: show alone`}
          onClick={(e) => choose(line.key, e.shiftKey || e.ctrlKey || e.metaKey)}
        >
          <i style={{ background: seriesColor(line.color, view.dark.value) }} />
          {line.label}
        </button>
      ))}
      {lines.length > most && (
        <button class="rest" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'fewer' : `${lines.length - most} more`}
        </button>
      )}
    </div>
  );
}
