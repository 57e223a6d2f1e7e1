import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { complete, tokens } from '../lib/promql';
import * as view from '../state/view';

type Completion = ReturnType<typeof complete>;

const MOST = 12;

/** A line of PromQL with colours under it and completions below; Enter asks. */
export function QueryInput({ query, run }: { query: string; run: (query: string) => void }) {
  const [text, setText] = useState(query);
  const [offer, setOffer] = useState<Completion | null>(null);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLTextAreaElement>(null);
  const list = useId();
  useEffect(() => setText(query), [query]);

  const edit = (value: string) => {
    setText(value);
    setAt(0);
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
  const keys = (event: KeyboardEvent) => {
    const n = offer?.options.length ?? 0;
    if (offer && event.key === 'ArrowDown') setAt((at + 1) % n);
    else if (offer && event.key === 'ArrowUp') setAt((at + n - 1) % n);
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
      <ul id={list} role="listbox" class="offers" hidden={!offer}>
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
