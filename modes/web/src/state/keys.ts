import * as view from './view';

/** What the keys do; `components/KeysDialog.tsx` tells people. */
const KEYS: Record<string, () => void> = {
  ArrowLeft: () => view.pan(-0.25),
  ArrowRight: () => view.pan(0.25),
  '+': () => view.zoom(0.5, view.cursor.value?.time),
  '=': () => view.zoom(0.5, view.cursor.value?.time),
  '-': () => view.zoom(2, view.cursor.value?.time),
  '0': () => (view.chosen.value = null),
  '[': () => turn(-1),
  ']': () => turn(1),
  s: () => view.resize(),
  e: () => view.note(view.cursor.value?.time),
  '?': () => (view.dialog.value = { kind: 'keys' }),
};

export function bindKeys() {
  addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || !view.inputs.value.length) return;
    if (target.closest('input, textarea, select, dialog, [role=menu], [contenteditable]')) return;
    // A box that scrolls sideways has the arrows for itself.
    if (event.key.startsWith('Arrow') && target.closest('.scroll')) return;
    if (event.key === 'Escape' && view.pinned.value !== null) view.pin(null);
    else if (event.key === ' ' && view.isLive.value && !target.closest('button, a, summary')) toggleLive();
    else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]!();
    else return;
    event.preventDefault();
  });
}

/** The page before or behind in the navigation. */
function turn(by: number) {
  const links = [...document.querySelectorAll<HTMLElement>('.links a')];
  const at = links.findIndex((link) => link.ariaCurrent === 'page' || link.hasAttribute('aria-current'));
  links[at + by]?.click();
}

/** Pausing keeps what is on screen. */
export function toggleLive() {
  if (view.live.value) {
    const { start, end } = view.range.value;
    view.live.value = false;
    view.chosen.value = { start, end };
  } else view.live.value = true;
}
