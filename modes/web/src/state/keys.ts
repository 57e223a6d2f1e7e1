import * as view from './view';

/** Arrows move, + and - zoom, 0 shows everything, Escape lets an instant go, space pauses. */
export function bindKeys() {
  addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest('input, textarea, select, [role=menu], [contenteditable]')) return;
    const at = view.cursor.value?.time;
    if (event.key === 'ArrowLeft') view.pan(-0.25);
    else if (event.key === 'ArrowRight') view.pan(0.25);
    else if (event.key === '+' || event.key === '=') view.zoom(0.5, at);
    else if (event.key === '-') view.zoom(2, at);
    else if (event.key === '0') view.chosen.value = null;
    else if (event.key === 'Escape' && view.pinned.value !== null) view.pin(null);
    else if (event.key === ' ' && view.isLive.value && !target.closest('button, a')) toggleLive();
    else return;
    event.preventDefault();
  });
}

/** Pausing keeps what is on screen. */
export function toggleLive() {
  if (view.live.value) {
    const { start, end } = view.range.value;
    view.live.value = false;
    view.chosen.value = { start, end };
  } else view.live.value = true;
}
