import { useState } from 'preact/hooks';
import * as view from '../state/view';

/** Chooses which cgroups the charts of cgroups show; none chosen: what the page asks for. */
export function CgroupPicker() {
  const [find, setFind] = useState('');
  const names = [
    ...new Set((view.metrics.value ?? []).filter((m) => m.name.startsWith('cgroup_')).flatMap((m) => m.labels.name ?? [])),
  ].sort();
  const chosen = view.selected.value.cgroups ?? [];
  if (!names.length) return null;
  const set = (next: string[]) => view.choose('cgroups', next);
  const listed = names.filter((n) => n.toLowerCase().includes(find.toLowerCase()));
  return (
    <details class="picker">
      <summary>{chosen.length ? `${chosen.length} of ${names.length} cgroups` : 'All cgroups'}</summary>
      <div class="sheet">
        <input
          type="search"
          placeholder="find"
          aria-label="find a cgroup"
          value={find}
          onInput={(e) => setFind(e.currentTarget.value)}
        />
        <div class="scroll">
          {listed.map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                checked={chosen.includes(name)}
                onChange={(e) => set(e.currentTarget.checked ? [...chosen, name] : chosen.filter((c) => c !== name))}
              />
              {name}
            </label>
          ))}
        </div>
        <button disabled={!chosen.length} onClick={() => set([])}>
          Show all
        </button>
      </div>
    </details>
  );
}
