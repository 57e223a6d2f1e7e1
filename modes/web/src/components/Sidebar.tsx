import { useSignalEffect } from '@preact/signals';
import { cells, unsaved } from '../state/notebook';
import * as view from '../state/view';

const COMPARE = { id: 'compare', title: 'Compare' };
const OTHERS = [
  { id: 'notebook', title: 'Notebook' },
  { id: 'explore', title: 'Explorer' },
  { id: 'metrics', title: 'Metrics' },
  { id: 'about', title: 'About' },
];

/** What the browser calls the page: which one, of what. */
function useTitle() {
  useSignalEffect(() => {
    const id = view.page.value;
    const title = [...view.dashboards.value, ...OTHERS, COMPARE].find((p) => p.id === id)?.title;
    const inputs = view.inputs.value.map((i) => i.title).join(' / ');
    document.title = [title, inputs, 'rezolus'].filter(Boolean).join(' · ');
  });
}

/** Pages: those of plugins in their order, then ours. */
export function Sidebar() {
  useTitle();
  const link = ({ id, title }: { id: string; title: string }) => (
    <a
      key={id}
      href={`#${id}`}
      aria-current={view.page.value === id ? 'page' : undefined}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        view.page.value = id;
        scrollTo(0, 0);
      }}
    >
      {title}
      {id === 'notebook' && cells.value.length > 0 && (
        <span class="count" title={unsaved.value ? 'not saved yet' : 'cells'}>
          {cells.value.length}
          {unsaved.value && ' •'}
        </span>
      )}
    </a>
  );
  return (
    <nav class="sidebar" aria-label="pages">
      <div class="brand">
        <img src="./icon.svg" alt="" width="22" height="22" />
        rezolus
      </div>
      <div class="links">
        {view.dashboards.value.map(link)}
        <hr />
        {view.inputs.value.length > 1 && link(COMPARE)}
        {OTHERS.map(link)}
      </div>
    </nav>
  );
}
