import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ChartCard } from '../components/ChartCard';
import { Markdown } from '../components/Markdown';
import { moved, type Cell, type ChartCell, type TextCell } from '../lib/notebook';
import { formatSpan, formatTime } from '../lib/time';
import { cells, cellsOf, forget, removeEvent, setCells, unsaved } from '../state/notebook';
import * as view from '../state/view';

// What is written into a cell stays with it when it moves, and when it becomes another by being changed.
const keys = new WeakMap<Cell, number>();
let next = 0;
const keyOf = (cell: Cell) => keys.get(cell) ?? (keys.set(cell, next), next++);

const around = (time: number, side: number) => view.show(time - view.shiftOf(side) - 30, time - view.shiftOf(side) + 30);

/** Text and charts in an order of one's own, kept in a copy of the recording. */
export function NotebookPage() {
  const all = cells.value;
  const inputs = view.inputs.value.slice(0, 2);
  const events = inputs.flatMap((input, side) => view.addedTo(side).map((event) => ({ event, side, of: inputs.length > 1 ? `${input.name}: ` : '' })));
  const others = inputs.length > 1 ? cellsOf(1) : [];
  const replace = (at: number, cell: Cell) => {
    keys.set(cell, keyOf(all[at]!));
    setCells(all.map((c, i) => (i === at ? cell : c)));
  };
  return (
    <>
      <div class="head">
        <h1>Notebook</h1>
        <button onClick={() => setCells([...all, { type: 'text', text: '' }])}>Add text</button>
        <button onClick={() => (view.dialog.value = { kind: 'save' })}>Save a copy…</button>
        {(unsaved.value || all.length > 0 || events.length > 0) && (
          <button onClick={() => confirm('Throw away what is not saved in what is open?') && forget()}>Forget</button>
        )}
        <span class="note" role="status">
          {unsaved.value ? 'Not saved yet: only this browser has it.' : ''}
        </span>
      </div>
      {!all.length && (
        <p class="said">Nothing yet. A chart's menu adds it here, and so does the explorer. What is written is saved in a copy of the recording.</p>
      )}
      {all.map((cell, at) => (
        <section key={keyOf(cell)} class="cell" aria-label={`cell ${at + 1}`}>
          <div class="cell-tools buttons" role="group" aria-label={`cell ${at + 1}`}>
            <button aria-label="up" disabled={at === 0} onClick={() => setCells(moved(all, at, -1))}>
              ↑
            </button>
            <button aria-label="down" disabled={at === all.length - 1} onClick={() => setCells(moved(all, at, 1))}>
              ↓
            </button>
            <button aria-label="remove" onClick={() => setCells(all.filter((_, i) => i !== at))}>
              ×
            </button>
          </div>
          {cell.type === 'text' ? (
            <Text cell={cell} set={(c) => replace(at, c)} />
          ) : (
            <Pinned cell={cell} id={`note/${at}`} side={0} set={(c) => replace(at, c)} />
          )}
        </section>
      ))}
      {others.length > 0 && (
        <section class="group" aria-label={`notebook of ${inputs[1]!.name}`}>
          <h2>Of {inputs[1]!.title}</h2>
          {others.map((cell, at) => (
            <div key={at} class="cell">
              {cell.type === 'text' ? <Markdown text={cell.text} /> : <Pinned cell={cell} id={`note/b/${at}`} side={1} />}
            </div>
          ))}
        </section>
      )}
      {events.length > 0 && (
        <section class="group">
          <h2>Events that were added</h2>
          <ul class="events">
            {events.map(({ event, side, of }) => (
              <li key={`${side} ${event.timestamp} ${event.description}`}>
                <button onClick={() => around(event.timestamp, side)}>{formatTime(event.timestamp, 1)}</button> {of}
                {event.description}{' '}
                <button class="icon" aria-label={`remove ${of}${event.description}`} onClick={() => removeEvent(side, event)}>
                  ×
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** Written where it is read: a click, or the button, opens it. */
function Text({ cell, set }: { cell: TextCell; set: (cell: TextCell) => void }) {
  const [writing, setWriting] = useState(!cell.text);
  const [text, setText] = useState(cell.text);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (writing) area.current?.focus();
  }, [writing]);
  useEffect(() => setText(cell.text), [cell.text]);
  const done = () => {
    setWriting(false);
    if (text !== cell.text) set({ type: 'text', text });
  };
  if (writing)
    return (
      <div class="writing">
        <textarea
          ref={area}
          aria-label="text"
          placeholder="Text. # heading, - list, **strong**, *emphasis*, `code`, [link](https://…)"
          rows={Math.max(3, text.split('\n').length + 1)}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
          onBlur={done}
          onKeyDown={(e) => (e.key === 'Escape' || (e.key === 'Enter' && (e.ctrlKey || e.metaKey))) && e.currentTarget.blur()}
        />
      </div>
    );
  return (
    <div class="written">
      {text.trim() ? <Markdown text={text} /> : <p class="note">Nothing is written here.</p>}
      <button class="icon" onClick={() => setWriting(true)}>
        edit
      </button>
    </div>
  );
}

interface PinnedProps {
  cell: ChartCell;
  id: string;
  /** Whose time its span is of. */
  side: number;
  /** Without it, it stays as it is. */
  set?: (cell: ChartCell) => void;
}

function Pinned({ cell, id, side, set }: PinnedProps) {
  const { title, kind, unit, queries, from, to } = cell;
  const chart = useMemo(() => ({ title, kind, unit, queries }), [title, kind, unit, JSON.stringify(queries)]);
  return (
    <>
      <div class="head">
        {set && <input class="title" aria-label="title" value={title} onChange={(e) => set({ ...cell, title: e.currentTarget.value })} />}
        <button title="show what was on screen" onClick={() => view.show(from - view.shiftOf(side), to - view.shiftOf(side))}>
          {formatSpan(from, to).join(' – ')}
        </button>
      </div>
      <ChartCard id={id} chart={chart} height={240} as={cell.as} heading="h2" />
    </>
  );
}
