import { useState } from 'preact/hooks';
import { saveCopy } from '../api/client';
import { formatLength } from '../lib/time';
import { cellsOf, saved } from '../state/notebook';
import * as view from '../state/view';
import { Dialog } from './Dialog';
import { download } from './save';

const counted = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;

/** A copy of an input, or of what is on screen of it, with the notebook and the events that were added. */
export function SaveDialog({ close }: { close: () => void }) {
  const inputs = view.inputs.value;
  const [side, setSide] = useState(0);
  const [whole, setWhole] = useState(view.chosen.value === null && !view.live.value);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState('');
  const { start, end } = view.range.value;
  const input = inputs[side]!;
  const notes = cellsOf(side);
  const events = view.addedTo(side);
  const save = async () => {
    setBusy(true);
    setFailed('');
    const shift = view.shiftOf(side);
    try {
      const blob = await saveCopy({
        input: input.name,
        ...(whole ? {} : { start: start + shift, end: end + shift }),
        events: events.map(({ timestamp, description }) => ({ timestamp, description })),
        ...(notes.length ? { notes: { version: 1, cells: notes } } : {}),
      });
      download(`${input.name}${whole ? '' : `-${Math.round(start + shift)}`}.parquet`, blob);
      saved(side);
      close();
    } catch (error) {
      setFailed((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Save a copy" close={close}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void save();
        }}
        aria-busy={busy}
      >
        {inputs.length > 1 && (
          <label class="field">
            of
            <select value={side} onChange={(e) => setSide(Number(e.currentTarget.value))}>
              {inputs.map((i, at) => (
                <option key={i.name} value={at}>
                  {i.title}
                </option>
              ))}
            </select>
          </label>
        )}
        <label class="choice">
          <input type="radio" name="span" checked={whole} onChange={() => setWhole(true)} /> all of it, {formatLength(input.end - input.start)}
        </label>
        <label class="choice">
          <input type="radio" name="span" checked={!whole} onChange={() => setWhole(false)} /> what is on screen, {formatLength(end - start)}
        </label>
        <p class="note">
          With {counted(events.length, 'added event')} and {counted(notes.length, 'cell')} of its notebook.
        </p>
        {failed && (
          <p class="error" role="alert">
            {failed}
          </p>
        )}
        <button class="main" disabled={busy}>
          {busy ? 'Saving…' : 'Save'}
        </button>
      </form>
    </Dialog>
  );
}
