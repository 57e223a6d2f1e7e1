import type { Range } from '../state/view';
import { css, fitted, FONT, release, ROOM, ticksOf, type Size } from './frame';
import type { Picture } from './pictures';

/** A picture on one canvas: a column for each lot, its lines stretched to the height there is. */
export class HeatPlot {
  readonly canvas = document.createElement('canvas');
  private readonly image = document.createElement('canvas');

  constructor(
    host: HTMLElement,
    private readonly picture: Picture,
    private readonly size: Size,
    public range: Range,
  ) {
    const { grid, pixels, lines } = picture;
    this.image.width = Math.max(1, grid.count);
    this.image.height = Math.max(1, lines);
    const copy = new ImageData(this.image.width, this.image.height);
    copy.data.set(pixels.subarray(0, copy.data.length));
    this.image.getContext('2d')!.putImageData(copy, 0, 0);
    this.canvas.className = 'heat';
    host.append(this.canvas);
    this.show(range);
  }

  show(range: Range) {
    this.range = range;
    const { width, height } = this.size;
    const { grid } = this.picture;
    const context = fitted(this.canvas, this.size);
    const w = width - ROOM.left - ROOM.right;
    const h = height - ROOM.top - ROOM.bottom;
    const x = (time: number) => ROOM.left + ((time - range.start) / (range.end - range.start)) * w;
    context.save();
    context.beginPath();
    context.rect(ROOM.left, ROOM.top, w, h);
    context.clip();
    context.fillStyle = css('--cell');
    context.fillRect(ROOM.left, ROOM.top, w, h);
    context.imageSmoothingEnabled = false;
    const left = x(grid.start);
    const right = x(grid.start + grid.count * grid.step);
    context.drawImage(this.image, left, ROOM.top, right - left, h);
    this.overlay(context, x, h);
    context.restore();
    this.axes(context, range, x, h);
  }

  private overlay(context: CanvasRenderingContext2D, x: (time: number) => number, h: number) {
    const { grid, over } = this.picture;
    for (const { values, color } of over) {
      context.beginPath();
      let down = false;
      values.forEach((value, i) => {
        if (Number.isNaN(value)) return void (down = false);
        const px = x(grid.start + (i + 0.5) * grid.step);
        const py = ROOM.top + h * (1 - value);
        if (down) context.lineTo(px, py);
        else context.moveTo(px, py);
        down = true;
      });
      // Seen on light and dark cells alike.
      context.strokeStyle = css('--halo');
      context.lineWidth = 3;
      context.stroke();
      context.strokeStyle = css(color);
      context.lineWidth = 1.25;
      context.stroke();
    }
  }

  private axes(context: CanvasRenderingContext2D, range: Range, x: (time: number) => number, h: number) {
    const { width, height } = this.size;
    context.font = FONT;
    context.fillStyle = css('--muted');
    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const tick of ticksOf(range, width)) context.fillText(tick.label, x(tick.value), height - ROOM.bottom + 6);
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    // From the bottom, without those that would be over the one before.
    let below = Infinity;
    for (const { at, label } of this.picture.ticks) {
      const y = ROOM.top + h * (1 - at);
      if (below - y < 14) continue;
      context.fillText(label, ROOM.left - 6, y, ROOM.left - 8);
      below = y;
    }
  }

  destroy() {
    this.canvas.remove();
    release(this.canvas);
    release(this.image);
  }
}
