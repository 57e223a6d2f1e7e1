import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface Props {
  summary: string;
  onToggle?: () => void;
  children: ComponentChildren;
}

/** A sheet under a button. Escape closes it and gives the focus back; so does leaving it, or a click beside it. */
export function Picker({ summary, onToggle, children }: Props) {
  const root = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const beside = (event: Event) => {
      if (!root.current!.contains(event.target as Node)) root.current!.open = false;
    };
    addEventListener('pointerdown', beside);
    return () => removeEventListener('pointerdown', beside);
  }, []);
  const escape = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !root.current!.open) return;
    root.current!.open = false;
    root.current!.querySelector('summary')!.focus();
    event.stopPropagation();
  };
  // Something that was pressed and is gone has left nobody.
  const left = (event: FocusEvent) => {
    if (event.relatedTarget && !root.current!.contains(event.relatedTarget as Node)) root.current!.open = false;
  };
  return (
    <details ref={root} class="picker" onToggle={onToggle} onKeyDown={escape} onFocusOut={left}>
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
