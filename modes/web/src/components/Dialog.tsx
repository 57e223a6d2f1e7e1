import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
}

/** Something over the page, which Escape, the button and a click beside it close. The browser keeps the focus in it. */
export function Dialog({ title, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current!.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onClose={close}
      onClick={(e) => e.target === dialog.current && dialog.current!.close()}
    >
      <div class="head">
        <h2>{title}</h2>
        <button class="icon" aria-label="close" onClick={() => dialog.current!.close()}>
          ×
        </button>
      </div>
      {children}
    </dialog>
  );
}
