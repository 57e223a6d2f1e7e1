import { OpenForm } from '../components/OpenForm';
import * as view from '../state/view';

/** What is there while nothing is open. */
export function EmptyPage() {
  return (
    <main class="empty">
      <img src="./icon.svg" alt="" width="56" height="56" />
      {view.server.value?.read_only ? (
        <h1>Nothing is open</h1>
      ) : (
        <>
          <h1>Drop a recording here</h1>
          <p>A Parquet file, or two to compare them. It stays on this machine.</p>
          <OpenForm />
        </>
      )}
    </main>
  );
}
