import { useState } from 'preact/hooks';
import { formatTime } from '../lib/time';
import { addEvent } from '../state/notebook';
import * as view from '../state/view';
import { Dialog } from './Dialog';

/** Notes what happened at a time: marked on every chart at once, and kept by saving a copy. */
export function EventDialog({ time, close }: { time: number; close: () => void }) {
  const [at, setAt] = useState(time);
  const [text, setText] = useState('');
  const [side, setSide] = useState(0);
  const inputs = view.inputs.value.slice(0, 2);
  const { interval } = inputs[side]!;
  // What is at one place on screen was at another time in B.
  const own = at + view.shiftOf(side);
  const add = () => {
    addEvent(side, own, text.trim());
    close();
  };
  return (
    <Dialog title="Add an event" close={close}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          add();
        }}
      >
        <label class="wide">
          what happened
          <input autofocus required value={text} onInput={(e) => setText(e.currentTarget.value)} />
        </label>
        {inputs.length > 1 && (
          <label class="field">
            in
            <select value={side} onChange={(e) => setSide(Number(e.currentTarget.value))}>
              {inputs.map((input, i) => (
                <option key={input.name} value={i}>
                  {input.name}
                </option>
              ))}
            </select>
          </label>
        )}
        <div class="field">
          at {formatTime(own, Math.min(interval, 1))}
          <span class="buttons">
            <button type="button" aria-label="earlier by a tick" onClick={() => setAt(at - interval)}>
              −
            </button>
            <button type="button" aria-label="later by a tick" onClick={() => setAt(at + interval)}>
              +
            </button>
          </span>
        </div>
        <p class="note">Click a chart before to say when. Saving a copy keeps it.</p>
        <button class="main" disabled={!text.trim()}>
          Add
        </button>
      </form>
    </Dialog>
  );
}
