import { useState } from 'preact/hooks';
import { openFile, openUrl } from '../api/client';
import { load } from '../state/load';
import * as view from '../state/view';

/** Opens files: the first, or as B when one is open already. */
export async function open(files: FileList | File[], second = false) {
  const file = files[0];
  if (file) await load(await openFile(file, second));
  if (file && files[1]) await load(await openFile(files[1], true));
}

/** A file, or an agent, to look at or to compare with. */
export function OpenForm({ second = false, done }: { second?: boolean; done?: () => void }) {
  const [said, say] = useState('');
  const [url, setUrl] = useState('http://127.0.0.1:4241');
  const [busy, setBusy] = useState(false);
  const run = async (what: () => Promise<void>) => {
    setBusy(true);
    say('');
    try {
      await what();
      done?.();
    } catch (error) {
      say((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <div class="opening" aria-busy={busy}>
      <label class="file">
        Choose a file
        <input
          type="file"
          multiple={!second}
          accept=".parquet"
          onChange={(e) => run(() => open(e.currentTarget.files ?? [], second))}
        />
      </label>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void run(async () => load(await openUrl(url, second)));
        }}
      >
        <label for="agent">or watch an agent</label>
        <input id="agent" type="url" value={url} onInput={(e) => setUrl(e.currentTarget.value)} />
        <button>Open</button>
      </form>
      {busy && <p role="status">Opening…</p>}
      {(said || view.failure.value) && (
        <p class="error" role="alert">
          {said || view.failure.value}
        </p>
      )}
    </div>
  );
}
