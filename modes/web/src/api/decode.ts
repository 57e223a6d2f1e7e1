import type { HeatAnswer, Labels, RangeAnswer, SeriesData } from './types';

/**
 * Decodes the body of `view/range`. The arrays are views onto the body: the
 * format is little-endian as every machine with a browser is.
 * Throws where the body is shorter than its header says.
 */
export function decodeRange(body: ArrayBuffer): RangeAnswer {
  if (body.byteLength < 4) throw new Error('answer without a header');
  const length = new DataView(body).getUint32(0, true);
  if (4 + length > body.byteLength) throw new Error('answer ends within its header');
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  const begin = Math.ceil((4 + length) / 8) * 8;
  return header.kind === 'heatmap' ? heat(body, begin, header) : series(body, begin, header);
}

function series(body: ArrayBuffer, begin: number, header: any): RangeAnswer {
  let at = begin;
  const next = () => {
    const values = new Float64Array(body, at, header.count);
    at += header.count * 8;
    return values;
  };
  const decoded = header.series.map(({ labels }: { labels: Labels }): SeriesData => {
    const mean = next();
    return header.reduced ? { labels, mean, least: next(), greatest: next() } : { labels, mean };
  });
  return { ...header, series: decoded };
}

function heat(body: ArrayBuffer, begin: number, header: any): HeatAnswer {
  const n: number = header.cells;
  const lot = new Uint32Array(body, begin, n);
  const bucket = new Uint32Array(body, begin + n * 4, n);
  const count = new Float64Array(body, begin + n * 8, n);
  return { ...header, cells: { lot, bucket, count } };
}
