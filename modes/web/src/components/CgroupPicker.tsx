import { useEffect, useState } from 'preact/hooks';
import { getLabelValues } from '../api/client';
import * as view from '../state/view';
import { Picker } from './Picker';

const MOST = 200;

/** Names of all cgroups that anything was measured of. */
function useNames(): string[] {
  const [names, setNames] = useState<string[]>([]);
  const { start, end } = view.extent.value;
  const inputs = view.inputs.value.map((i) => i.name).join('\n');
  useEffect(() => {
    let wanted = true;
    getLabelValues('name', '{__name__=~"cgroup_.+"}', start, end).then((all) => wanted && setNames(all), () => undefined);
    return () => void (wanted = false);
    // Of a live input, those there were when the page was opened.
  }, [inputs, start]);
  return names;
}

/** Chooses which cgroups the charts of cgroups compare; none chosen: what the page asks for. */
export function CgroupPicker() {
  const [find, setFind] = useState('');
  const names = useNames();
  const chosen = view.selected.value.cgroups ?? [];
  const others = view.withOthers.value;
  // Of one there is nothing to choose.
  if (names.length < 2 && !chosen.length) return null;
  const set = (next: string[]) => view.choose('cgroups', next);
  const toggle = (name: string, on: boolean) => set(on ? [...chosen, name] : chosen.filter((c) => c !== name));
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const found = names.filter((n) => words.every((w) => n.toLowerCase().includes(w)));
  return (
    <>
      <Picker summary={chosen.length ? `${chosen.length} of ${names.length} cgroups` : `All ${names.length} cgroups`}>
        <div class="sheet">
          <input
            type="search"
            placeholder="find"
            aria-label="find a cgroup"
            value={find}
            onInput={(e) => setFind(e.currentTarget.value)}
          />
          <div class="scroll" tabIndex={0} role="group" aria-label="cgroups">
            {found.slice(0, MOST).map((name) => (
              <label key={name}>
                <input type="checkbox" checked={chosen.includes(name)} onChange={(e) => toggle(name, e.currentTarget.checked)} />
                {name}
              </label>
            ))}
            {found.length > MOST && <p class="note">Type more to see the other {found.length - MOST}.</p>}
          </div>
          <button disabled={!chosen.length} onClick={() => set([])}>
            Show all
          </button>
        </div>
      </Picker>
      {chosen.length > 0 && (
        <>
          <ul class="chosen" aria-label="cgroups that are compared">
            {chosen.map((name) => (
              <li key={name}>
                <button title={`leave out ${name}`} onClick={() => toggle(name, false)}>
                  {name} ×
                </button>
              </li>
            ))}
          </ul>
          <label class="field">
            <input type="checkbox" checked={others} onChange={(e) => view.choose('others', e.currentTarget.checked ? [] : ['no'])} />
            the rest as “other”
          </label>
        </>
      )}
    </>
  );
}
