/**
 * Charts while the span on screen moves. What was drawn is moved and stretched at once, all charts in one frame;
 * drawn again it is where the span comes to rest, a few charts a frame. Charts off the screen wait until they are on it.
 */
import { effect } from '@preact/signals';
import * as view from '../state/view';
import type { Range } from '../state/view';
import { release, ROOM } from './frame';

interface Drawing {
  readonly canvas: HTMLCanvasElement;
  /** What it shows. */
  range: Range;
  show(range: Range): void;
}

interface Mover {
  drawing: Drawing;
  /** What is on the drawing and moves with it, always of the span that is at rest. */
  marks: HTMLElement | null;
  /** How wide what is drawn is, in CSS pixels. */
  inner: number;
  near: boolean;
  /** What was drawn last, while the span moves. */
  picture: HTMLCanvasElement | null;
}

/** ms of a frame that may be drawn in. */
const BUDGET = 12;

const movers = new Map<Element, Mover>();
let frame = 0;

const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const mover = movers.get(entry.target);
      if (mover) mover.near = entry.isIntersecting;
    }
    wake();
  },
  { rootMargin: '200px' },
);

effect(() => {
  void view.shown.value;
  wake();
});

function wake() {
  if (!frame && movers.size) frame = requestAnimationFrame(tick);
}

const same = (a: Range, b: Range) => a.start === b.start && a.end === b.end;

function tick() {
  frame = 0;
  const until = performance.now() + BUDGET;
  const at = view.shown.peek();
  const resting = view.moving.peek() === null;
  let late = false;
  for (const mover of movers.values()) {
    if (!mover.near) continue;
    const { drawing } = mover;
    if (!same(drawing.range, at)) {
      if (resting && performance.now() < until) {
        forget(mover);
        drawing.show(at);
        continue;
      }
      late ||= resting;
      move(mover, at);
    } else if (mover.picture) moveBack(mover);
  }
  if (late) wake();
}

/** Where a picture of `of` is while `at` is on screen: from where, and how stretched. */
function place(of: Range, at: Range, inner: number): [number, number] {
  const span = at.end - at.start;
  return [((of.start - at.start) / span) * inner, (of.end - of.start) / span];
}

function move(mover: Mover, at: Range) {
  const { drawing, inner, marks } = mover;
  mover.picture ??= copyOf(drawing.canvas);
  const [x, scale] = place(drawing.range, at, inner);
  paint(drawing.canvas, mover.picture, x, scale);
  if (!marks?.firstChild) return;
  const [left, wide] = place(view.range.peek(), at, inner);
  marks.style.transform = `translateX(${left}px) scaleX(${wide})`;
}

/** Within the canvas: layers that move cost more than the few pixels do, where no GPU is. */
function paint(canvas: HTMLCanvasElement, picture: HTMLCanvasElement, x: number, scale: number) {
  const { width, height } = canvas;
  const ratio = devicePixelRatio || 1;
  const left = Math.round(ROOM.left * ratio);
  const context = canvas.getContext('2d')!;
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  // The vertical axis stays where it is.
  context.rect(left, 0, width - left, height);
  context.clip();
  context.globalCompositeOperation = 'copy';
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, left, 0, width - left, height, left + Math.round(x * ratio), 0, (width - left) * scale, height);
  context.restore();
}

function moveBack(mover: Mover) {
  paint(mover.drawing.canvas, mover.picture!, 0, 1);
  forget(mover);
}

function forget(mover: Mover) {
  if (mover.picture) release(mover.picture);
  mover.picture = null;
  if (mover.marks) mover.marks.style.transform = '';
}

function copyOf(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const copy = document.createElement('canvas');
  copy.width = canvas.width;
  copy.height = canvas.height;
  copy.getContext('2d')!.drawImage(canvas, 0, 0);
  return copy;
}

/** Keeps a drawing on `host` in step with the span on screen; what is returned ends it. */
export function follow(host: HTMLElement, drawing: Drawing, marks: HTMLElement | null, inner: number): () => void {
  // Until the observer says otherwise it may be on screen.
  const mover: Mover = { drawing, marks, inner, near: true, picture: null };
  movers.set(host, mover);
  sight.observe(host);
  wake();
  return () => {
    forget(mover);
    sight.unobserve(host);
    movers.delete(host);
  };
}
