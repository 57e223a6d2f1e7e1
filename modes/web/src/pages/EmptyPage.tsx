import { useState } from 'preact/hooks';
import { openFile, openUrl } from '../api/client';
import { load } from '../state/load';
import * as view from '../state/view';

/** Opens dropped files: the first, or as B when one is open already. */
export async function open(files: FileList | File[], second = false) {
  const file = files[0];
  if (file) await load(await openFile(file, second));
  if (file && files[1]) await load(await openFile(files[1], true));
}

export function EmptyPage() {
  const [said, say] = useState('');
  const [url, setUrl] = useState('http://127.0.0.1:4241');
  const [busy, setBusy] = useState(false);
  const run = async (what: () => Promise<void>) => {
    setBusy(true);
    say('');
    try {
      await what();
    } catch (error) {
      say((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <main class="empty" aria-busy={busy}>
      <img src="./icon.svg" alt="" width="56" height="56" />
      <h1>Drop a recording here</h1>
      <p>A Parquet file, or two to compare them. It stays on this machine.</p>
      <label class="file">
        Choose a file
        <input type="file" multiple accept=".parquet" onChange={(e) => run(() => open(e.currentTarget.files ?? []))} />
      </label>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void run(async () => load(await openUrl(url)));
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
    </main>
  );
}
