import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Drawn, Heat, Lines } from '../lib/drawn';
import { summary } from '../lib/summary';
import * as view from '../state/view';
import { ROOM } from './frame';
import { HeatPlot } from './heat-plot';
import { LinePlot } from './line-plot';
import { Marks } from './Marks';
import { follow } from './motion';
import { heatPicture, rowsPicture, scaleOf, spectrumPicture, valuesOf, type Picture, type Scale } from './pictures';
import { Tooltip } from './Tooltip';

interface Props {
  id: string;
  title: string;
  drawn: Drawn;
  /** 0 for A, 1 for B, if only that is shown. */
  side?: number | undefined;
  /** What is shown beside it, by the same scale and colours. */
  beside?: Drawn | undefined;
  /** Of rows. */
  scale?: Scale;
  shape: 'lines' | 'rows' | 'heatmap' | 'spectrum';
  stacked: boolean;
  log: boolean;
  unit: string;
  width: number;
  height: number;
  only: Set<string> | null;
}

/** What is drawn, and everything the pointer does on it: crosshair, tooltip, zooming by dragging. */
export function PlotFrame(props: Props) {
  const { id, title, drawn, shape, stacked, log, unit, width, height, only } = props;
  const host = useRef<HTMLDivElement>(null);
  const marks = useRef<HTMLDivElement>(null);
  const inner = width - ROOM.left - ROOM.right;
  const dark = view.dark.value;
  const onlyKey = only ? [...only].join('\n') : '';

  // In the frame in which its card is.
  useLayoutEffect(() => {
    const at = view.shown.peek();
    const plot =
      drawn.kind === 'lines' && shape === 'lines'
        ? new LinePlot(host.current!, drawn, { width, height, unit, stacked, log, dark, only, beside: props.beside as Lines | undefined }, at)
        : new HeatPlot(host.current!, pictureOf(props, dark), { width, height }, at);
    const end = follow(host.current!, plot, marks.current, inner);
    return () => {
      end();
      plot.destroy();
    };
  }, [drawn, shape, stacked, log, unit, width, height, dark, onlyKey]);

  const said = useMemo(() => summary(title, drawn, unit, view.inputs.value.map((i) => i.name)), [title, drawn, unit]);
  return (
    <div class="plot" role="img" aria-label={said} style={{ height: `${height}px` }}>
      <div ref={host} />
      <Pointer id={id} width={width} height={height}>
        <div ref={marks} class="marks-on">
          <Marks width={inner} of={props.side} />
        </div>
      </Pointer>
      <Tooltip id={id} drawn={drawn} heat={shape !== 'lines'} stacked={stacked} unit={unit} only={only} width={width} height={height} />
    </div>
  );
}

function pictureOf({ drawn, beside, scale, shape, unit, height }: Props, dark: boolean): Picture {
  if (drawn.kind === 'lines') {
    return rowsPicture(drawn, scale ?? scaleOf(drawn.lines, unit), dark, height - ROOM.top - ROOM.bottom);
  }
  const other = beside as Heat | undefined;
  if (shape === 'spectrum') return spectrumPicture(drawn, dark, valuesOf(other ? [drawn, other] : [drawn]));
  return heatPicture(drawn, unit, dark, height - ROOM.top - ROOM.bottom, other);
}

interface PointerProps {
  id: string;
  width: number;
  height: number;
  children: ComponentChildren;
}

/** From where to where, and whether what is on screen moves along. */
interface Drag {
  from: number;
  to: number;
  pan: boolean;
}

function Pointer({ id, width, height, children }: PointerProps) {
  const inner = width - ROOM.left - ROOM.right;
  const area = useRef<HTMLDivElement>(null);
  const line = useRef<HTMLDivElement>(null);
  const moved = useRef(false);
  /** Where the area begins, while it is dragged. */
  const dragged = useRef<number | null>(null);
  /** What is dragged, for the next event: it may come before anything is drawn again. */
  const held = useRef<Drag | null>(null);
  const [drag, drawDrag] = useState<Drag | null>(null);
  const setDrag = (now: Drag | null) => {
    held.current = now;
    drawDrag(now);
  };
  const timeAt = (event: PointerEvent | MouseEvent) => {
    const { start, end } = view.shown.peek();
    // While dragging nothing is measured again.
    const x = event.clientX - (dragged.current ?? area.current!.getBoundingClientRect().left);
    return start + (Math.min(Math.max(x, 0), inner) / inner) * (end - start);
  };
  const place = (time: number) => {
    const { start, end } = view.shown.value;
    return ((time - start) / (end - start)) * inner;
  };
  // Moves with the pointer of whichever chart it is over, without drawing anything again.
  useSignalEffect(() => {
    const at = view.cursor.value;
    if (!line.current) return;
    const x = at ? place(at.time) : -1;
    line.current.style.display = x >= 0 && x <= inner ? '' : 'none';
    line.current.style.transform = `translateX(${x}px)`;
  });
  const move = (event: PointerEvent) => {
    const time = timeAt(event);
    const drag = held.current;
    if (drag?.pan) {
      const { start, end } = view.shown.peek();
      view.move(start + drag.from - time, end + drag.from - time);
    } else if (drag) setDrag({ ...drag, to: time });
    if (!drag?.pan) view.cursor.value = { time, chart: id };
  };
  const up = () => {
    const drag = held.current;
    moved.current = drag !== null && (drag.pan || Math.abs(place(drag.to) - place(drag.from)) > 4);
    if (drag && !drag.pan && moved.current)
      view.zoomTo(Math.min(drag.from, drag.to), Math.max(drag.from, drag.to));
    view.rest();
    end();
  };
  const end = () => {
    dragged.current = null;
    setDrag(null);
  };
  const down = (event: PointerEvent) => {
    // A finger scrolls the page; it zooms with the buttons.
    if (event.button !== 0 || event.pointerType === 'touch') return;
    area.current!.setPointerCapture(event.pointerId);
    dragged.current = area.current!.getBoundingClientRect().left;
    const time = timeAt(event);
    if (event.shiftKey) view.cursor.value = null;
    setDrag({ from: time, to: time, pan: event.shiftKey });
  };
  // As maps do: sideways moves, with Ctrl (or two fingers) zooms at the pointer; else the page scrolls.
  const wheel = (event: WheelEvent) => {
    const { start, end } = view.shown.peek();
    const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      const factor = Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY / 200)));
      const at = timeAt(event);
      view.move(at - (at - start) * factor, at + (end - at) * factor);
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      const by = (sideways / inner) * (end - start);
      view.move(start + by, end + by);
    } else return;
    event.preventDefault();
    view.cursor.value = null;
  };
  // A click keeps an instant, another one there lets it go.
  const click = (event: MouseEvent) => {
    const time = timeAt(event);
    const kept = view.pinned.value;
    if (!moved.current) view.pin(kept !== null && Math.abs(place(kept) - place(time)) < 5 ? null : time);
    moved.current = false;
  };
  const box = {
    left: `${ROOM.left}px`,
    top: `${ROOM.top}px`,
    width: `${inner}px`,
    height: `${height - ROOM.top - ROOM.bottom}px`,
  };
  const left = drag && place(Math.min(drag.from, drag.to));
  return (
    <div
      ref={area}
      class="over"
      style={box}
      onPointerMove={move}
      onPointerDown={down}
      onPointerUp={up}
      onClick={click}
      onWheel={wheel}
      onPointerCancel={end}
      onPointerLeave={() => !held.current && (view.cursor.value = null)}
      onDblClick={() => view.back()}
    >
      {children}
      {drag && !drag.pan && (
        <div class="brush" style={{ left: `${left}px`, width: `${Math.abs(place(drag.to) - place(drag.from))}px` }} />
      )}
      <div ref={line} class="crosshair" />
    </div>
  );
}
