import { formatDuration, formatLength, formatSpan } from '../lib/time';
import { toggleLive } from '../state/keys';
import * as view from '../state/view';
import { Compare } from './Compare';
import { copyLink } from './save';

const RATES = [1, 5, 15, 60, 300];
const WINDOWS = [60, 300, 900, 3600];

/** What is open, the span of time on screen, and how to change it. */
export function Toolbar() {
  const inputs = view.inputs.value;
  return (
    <header class="toolbar">
      <div class="what">
        <strong>{inputs.map((i) => i.title).join('  /  ')}</strong>
        <Span />
      </div>
      {view.isLive.value && <Live />}
      {inputs.length > 1 && <Compare />}
      <label class="field">
        rates over
        <select
          value={view.rateOver.value ?? ''}
          onChange={(e) => view.choose('interval', e.currentTarget.value ? [e.currentTarget.value] : [])}
        >
          <option value="">auto</option>
          {RATES.map((s) => (
            <option key={s} value={s}>
              {formatDuration(s)}
            </option>
          ))}
        </select>
      </label>
      <div class="buttons" role="group" aria-label="time">
        <button aria-label="earlier" title="earlier (←)" onClick={() => view.pan(-0.25)}>
          ←
        </button>
        <button aria-label="later" title="later (→)" onClick={() => view.pan(0.25)}>
          →
        </button>
        <button aria-label="zoom in" title="zoom in (+)" onClick={() => view.zoom(0.5)}>
          +
        </button>
        <button aria-label="zoom out" title="zoom out (−)" onClick={() => view.zoom(2)}>
          −
        </button>
        <button disabled={!view.chosen.value} title="all there is (0)" onClick={() => (view.chosen.value = null)}>
          all
        </button>
      </div>
      <div class="buttons" role="group" aria-label="share">
        {!view.server.value?.read_only && (
          <button title="another recording or agent, or one to compare with" onClick={() => (view.dialog.value = { kind: 'open' })}>
            open
          </button>
        )}
        <button title="copy a link to exactly this" onClick={copyLink}>
          link
        </button>
        <button title="add an event at the instant that was clicked, or in the middle (e)" onClick={() => view.note()}>
          event
        </button>
        <button title="save a copy with notes and events" onClick={() => (view.dialog.value = { kind: 'save' })}>
          save
        </button>
        <button
          class={view.small.value ? 'on' : ''}
          aria-label="small charts"
          aria-pressed={view.small.value}
          title="small charts, many on screen (s)"
          onClick={view.resize}
        >
          ▦
        </button>
        <button
          aria-label={`theme: ${view.theme.value}`}
          title="light or dark"
          onClick={() => (view.theme.value = view.dark.value ? 'light' : 'dark')}
        >
          {view.dark.value ? '☀' : '☾'}
        </button>
        <button aria-label="keys" title="keys (?)" onClick={() => (view.dialog.value = { kind: 'keys' })}>
          ?
        </button>
      </div>
    </header>
  );
}

function Span() {
  const { start, end } = view.shown.value;
  const [from, to] = formatSpan(start, end);
  return (
    <span>
      {from} <i>–</i> {to} <em>{formatLength(end - start)}</em>
    </span>
  );
}

function Live() {
  const lost = !view.connected.value || view.inputs.value.find((i) => i.error)?.error;
  return (
    <div class="buttons" role="group" aria-label="live">
      <button
        class={view.live.value ? 'on' : ''}
        aria-pressed={view.live.value}
        title="follow or pause (space)"
        onClick={toggleLive}
      >
        {lost ? '◌ reconnecting' : view.live.value ? '● live' : '▶ follow'}
      </button>
      <select
        aria-label="window"
        value={view.window_.value}
        onChange={(e) => (view.window_.value = Number(e.currentTarget.value))}
      >
        {[...new Set([...WINDOWS, view.window_.value])].map((s) => (
          <option key={s} value={s}>
            {formatDuration(s)}
          </option>
        ))}
      </select>
    </div>
  );
}
