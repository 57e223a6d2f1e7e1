import { useEffect, useState } from 'preact/hooks';
import { AboutPage } from '../pages/AboutPage';
import { ComparePage } from '../pages/ComparePage';
import { DashboardPage } from '../pages/DashboardPage';
import { EmptyPage } from '../pages/EmptyPage';
import { ExplorerPage } from '../pages/ExplorerPage';
import { MetricsPage } from '../pages/MetricsPage';
import { NotebookPage } from '../pages/NotebookPage';
import * as view from '../state/view';
import { EventDialog } from './EventDialog';
import { KeysDialog } from './KeysDialog';
import { OpenDialog } from './OpenDialog';
import { open } from './OpenForm';
import { SaveDialog } from './SaveDialog';
import { Sidebar } from './Sidebar';
import { Toolbar } from './Toolbar';

/** Files may be dropped anywhere: what they hold replaces what is open, with shift it becomes B. */
function useDrop() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const dragging = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      if (view.server.value?.read_only) return;
      setOver(true);
    };
    const left = (event: DragEvent) => event.relatedTarget === null && setOver(false);
    const dropped = (event: DragEvent) => {
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      setOver(false);
      if (view.server.value?.read_only) return void (view.failure.value = 'This server opens nothing else: it was started with --read-only.');
      const second = event.shiftKey && view.inputs.value.length > 0;
      open(event.dataTransfer.files, second).catch((error: Error) => (view.failure.value = error.message));
    };
    addEventListener('dragover', dragging);
    addEventListener('dragleave', left);
    addEventListener('drop', dropped);
    return () => {
      removeEventListener('dragover', dragging);
      removeEventListener('dragleave', left);
      removeEventListener('drop', dropped);
    };
  }, []);
  return over;
}

export function App() {
  const over = useDrop();
  const some = view.inputs.value.length > 0;
  if (!view.server.value && !view.failure.value) return <div class="waiting" aria-busy="true" />;
  return (
    <>
      {some ? (
        <div class="app">
          <button class="skip" onClick={() => document.getElementById('content')?.focus()}>
            Skip to the charts
          </button>
          <Sidebar />
          <div class="side">
            <Toolbar />
            {!view.connected.value && (
              <p class="error banner" role="status">
                The server does not answer. What is here stays, and is asked for again when it does.
              </p>
            )}
            {view.inputs.value.map(
              (input) =>
                input.error && (
                  <p key={input.name} class="error banner" role="status">
                    {input.title}: {input.error}
                  </p>
                ),
            )}
            {view.failure.value && (
              <p class="error banner" role="alert">
                {view.failure.value} <button onClick={() => (view.failure.value = null)}>close</button>
              </p>
            )}
            <main id="content" tabIndex={-1}>
              <Page />
            </main>
          </div>
        </div>
      ) : (
        <EmptyPage />
      )}
      {some && <Over />}
      {over && <div class="dropping">{some ? 'Drop to open; with shift to compare with it' : 'Drop to open'}</div>}
    </>
  );
}

function Over() {
  const shown = view.dialog.value;
  const close = () => (view.dialog.value = null);
  if (shown?.kind === 'keys') return <KeysDialog close={close} />;
  if (shown?.kind === 'open') return <OpenDialog close={close} />;
  if (shown?.kind === 'save') return <SaveDialog close={close} />;
  if (shown?.kind === 'event') return <EventDialog time={shown.time} close={close} />;
  return null;
}

function Page() {
  const page = view.page.value;
  if (page === 'explore') return <ExplorerPage />;
  if (page === 'notebook') return <NotebookPage />;
  if (page === 'metrics') return <MetricsPage />;
  if (page === 'compare' && view.inputs.value.length > 1) return <ComparePage />;
  if (page === 'about') return <AboutPage />;
  const dashboard = view.dashboards.value.find((d) => d.id === page) ?? view.dashboards.value[0];
  if (!dashboard)
    return (
      <>
        <h1>No pages</h1>
        <p class="said">Nothing here has a dashboard. What there is is on the page “Metrics”.</p>
      </>
    );
  return <DashboardPage key={dashboard.id} dashboard={dashboard} />;
}
