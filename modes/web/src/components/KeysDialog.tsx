import { letters, setLetters } from '../state/keys';
import { Dialog } from './Dialog';

const KEYS: [string, string][] = [
  ['← →', 'earlier, later'],
  ['+ −', 'zoom in, out; around the pointer'],
  ['0', 'all there is'],
  ['Space', 'follow or pause a live input'],
  [', .', 'the kept instant earlier, later'],
  ['[ ]', 'the page before, the next'],
  ['s', 'small charts, many on screen'],
  ['e', 'add an event at the pointer, or at the instant that was clicked'],
  ['Escape', 'let the instant go; close what is open'],
  ['?', 'these keys'],
];

const POINTER: [string, string][] = [
  ['drag', 'zoom to a span'],
  ['Shift and drag', 'move'],
  ['Ctrl and wheel', 'zoom at the pointer'],
  ['Shift and wheel', 'move'],
  ['double click', 'back to before the zoom'],
  ['click', 'keep an instant, for distributions and events'],
  ['click in a legend', 'one series alone; with Shift or Ctrl beside others'],
];

/** Everything that the keyboard and the pointer do on charts. */
export function KeysDialog({ close }: { close: () => void }) {
  const table = (of: [string, string][], caption: string) => (
    <table class="keys">
      <caption>{caption}</caption>
      <tbody>
        {of.map(([key, what]) => (
          <tr key={key}>
            <th scope="row">{key}</th>
            <td>{what}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
  return (
    <Dialog title="Keys" close={close}>
      {table(KEYS, 'keyboard')}
      {table(POINTER, 'on a chart')}
      <label class="choice">
        <input type="checkbox" checked={letters.value} onChange={(e) => setLetters(e.currentTarget.checked)} /> keys without Ctrl or Alt
      </label>
    </Dialog>
  );
}
