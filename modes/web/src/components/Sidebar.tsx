import { cells, unsaved } from '../state/notebook';
import * as view from '../state/view';

const OTHERS = [
  { id: 'notebook', title: 'Notebook' },
  { id: 'explore', title: 'Explorer' },
  { id: 'metrics', title: 'Metrics' },
  { id: 'about', title: 'About' },
];

/** Pages: those of plugins in their order, then ours. */
export function Sidebar() {
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
        {view.inputs.value.length > 1 && link({ id: 'compare', title: 'Compare' })}
        {OTHERS.map(link)}
      </div>
    </nav>
  );
}
