import { signal } from '@preact/signals';
import * as view from './view';

const KEPT = 'rezolus.keys';

/** Whether letters and signs alone do something: who speaks to the browser, or hits keys by chance, turns that off. */
export const letters = signal(kept() !== 'off');

function kept(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

export function setLetters(on: boolean) {
  letters.value = on;
  try {
    localStorage.setItem(KEPT, on ? 'on' : 'off');
  } catch {
    // Until the page is left, then.
  }
}

/** What the keys do; `components/KeysDialog.tsx` tells people. */
const KEYS: Record<string, () => void> = {
  ArrowLeft: () => view.pan(-0.25),
  ArrowRight: () => view.pan(0.25),
  '+': () => view.zoom(0.5, view.cursor.value?.time),
  '=': () => view.zoom(0.5, view.cursor.value?.time),
  '-': () => view.zoom(2, view.cursor.value?.time),
  '0': () => (view.chosen.value = null),
  ',': () => view.step(-0.01),
  '.': () => view.step(0.01),
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
    if (event.key.length === 1 && !letters.value) return;
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
