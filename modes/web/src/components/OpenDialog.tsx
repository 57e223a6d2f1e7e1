import { useState } from 'preact/hooks';
import { Dialog } from './Dialog';
import { OpenForm } from './OpenForm';

/** Something else instead of what is open, or beside it. */
export function OpenDialog({ close }: { close: () => void }) {
  const [second, setSecond] = useState(false);
  return (
    <Dialog title="Open" close={close}>
      <fieldset class="choices">
        <label class="choice">
          <input type="radio" name="place" checked={!second} onChange={() => setSecond(false)} /> instead of what is open
        </label>
        <label class="choice">
          <input type="radio" name="place" checked={second} onChange={() => setSecond(true)} /> to compare with it, as B
        </label>
      </fieldset>
      <OpenForm second={second} done={close} />
    </Dialog>
  );
}
