import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { complete, tokens } from '../lib/promql';
import * as view from '../state/view';

type Completion = ReturnType<typeof complete>;

const MOST = 12;

interface Props {
  query: string;
  /** What was asked before, newest first. */
  history: string[];
  run: (query: string) => void;
}

/** A line of PromQL with colours under it and completions below; Enter asks, arrows go through what was asked before. */
export function QueryInput({ query, history, run }: Props) {
  const [text, setText] = useState(query);
  const [offer, setOffer] = useState<Completion | null>(null);
  const [at, setAt] = useState(0);
  // Enter takes an option only if it was gone to.
  const [moved, setMoved] = useState(false);
  // Which of the history is shown; -1 is what was being written.
  const past = useRef({ at: -1, written: '' });
  const input = useRef<HTMLTextAreaElement>(null);
  const list = useId();
  useEffect(() => setText(query), [query]);
  useEffect(() => {
    if (!query) input.current?.focus();
  }, []);

  const edit = (value: string) => {
    setText(value);
    past.current.at = -1;
    suggest(value);
  };
  const suggest = (value: string) => {
    setAt(0);
    setMoved(false);
    const found = complete(value, input.current!.selectionStart, { metrics: view.metrics.value ?? [] });
    setOffer(found.options.length ? { ...found, options: found.options.slice(0, MOST) } : null);
  };
  const take = (option: Completion['options'][number]) => {
    const next = text.slice(0, offer!.from) + option.text + text.slice(offer!.to);
    const cursor = offer!.from + option.text.length;
    setText(next);
    setOffer(null);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(cursor, cursor);
    });
  };
  /** One entry older (1) or newer (-1); false if there is none. */
  const recall = (by: 1 | -1): boolean => {
    const { at, written } = past.current;
    const next = at + by;
    if (next < -1 || next >= history.length) return false;
    past.current = { at: next, written: at < 0 ? text : written };
    setText(next < 0 ? past.current.written : history[next]!);
    return true;
  };
  const go = (to: number) => {
    setAt(to);
    setMoved(true);
  };
  const keys = (event: KeyboardEvent) => {
    const n = offer?.options.length ?? 0;
    const { selectionStart, selectionEnd } = input.current!;
    // Within a query of several lines the arrows move the cursor.
    const first = !text.slice(0, selectionStart).includes('\n');
    const last = !text.slice(selectionEnd).includes('\n');
    if (offer && event.key === 'ArrowDown') go((at + 1) % n);
    else if (offer && event.key === 'ArrowUp') go((at + n - 1) % n);
    else if (event.key === ' ' && event.ctrlKey) suggest(text);
    else if (event.key === 'ArrowUp' && first && recall(1)) setOffer(null);
    else if (event.key === 'ArrowDown' && last && recall(-1)) setOffer(null);
    else if (offer && moved && event.key === 'Enter') take(offer.options[at]!);
    else if (offer && event.key === 'Tab' && !event.shiftKey) take(offer.options[at]!);
    else if (offer && event.key === 'Escape') setOffer(null);
    else if (event.key === 'Enter' && !event.shiftKey) {
      setOffer(null);
      run(text.trim());
    } else return;
    event.preventDefault();
  };
  return (
    <div class="query">
      <pre aria-hidden="true">{painted(text)}</pre>
      <textarea
        ref={input}
        rows={Math.min(8, text.split('\n').length)}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        placeholder="PromQL: sum by (state) (rate(cpu_usage[5s]))"
        aria-label="query"
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={offer ? `${list}-${at}` : undefined}
        value={text}
        onInput={(e) => edit(e.currentTarget.value)}
        onKeyDown={keys}
        onBlur={() => setOffer(null)}
      />
      <ul id={list} role="listbox" aria-label="completions" class="offers" hidden={!offer}>
        {offer?.options.map((option, i) => (
          <li
            key={option.text}
            id={`${list}-${i}`}
            role="option"
            aria-selected={i === at}
            onMouseDown={(e) => {
              e.preventDefault();
              take(option);
            }}
          >
            <b>{option.text}</b> <i>{option.kind}</i> <span>{option.detail}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The text in coloured pieces, nothing left out between tokens. */
function painted(text: string) {
  const out = [];
  let end = 0;
  for (const token of tokens(text)) {
    if (token.from > end) out.push(text.slice(end, token.from));
    out.push(<span class={`token-${token.kind}`}>{text.slice(token.from, token.to)}</span>);
    end = token.to;
  }
  out.push(text.slice(end), '\n');
  return out;
}
