import { describe, expect, it } from 'vitest';
import { toCsv, toSvg, type Drawing } from './export';

describe('toCsv', () => {
  it('is RFC 4180', () => {
    const text = toCsv([1795341600, 1795341600.25], [
      { name: 'a,"b"', values: [1, NaN] }, { name: 'x\ny', values: Float64Array.of(-0.5, 1e21) }, { name: 'plain', values: [7] },
    ]);
    expect(text).toBe('time,"a,""b""","x\ny",plain\r\n2026-11-22T10:00:00.000Z,1,-0.5,7\r\n2026-11-22T10:00:00.250Z,,1e+21,\r\n');
  });

  it('has nothing that a spreadsheet runs, and takes what is no time', () => {
    expect(toCsv([NaN], [{ name: '=1+1', values: [2] }])).toBe("time,'=1+1\r\n,2\r\n");
    expect(toCsv([], [])).toBe('time\r\n');
  });
});

const chart = (over: Partial<Drawing> = {}): Drawing => ({
  title: 'CPU <usage> & "more"', width: 600, height: 300, times: [0, 60, 120, 180, 240],
  series: [{ name: 'a<b', color: '#2a6cc9', values: [1, 2, NaN, 3, NaN] }], unit: 'cores', dark: false, ...over,
});

const TAG = /<(\/?)(\w+)(?:\s+[\w:-]+="(?:[^"<&]|&#\d+;)*")*\s*(\/?)>/g;

/** Whether every element that is opened is closed, and nothing is left unescaped. */
function wellFormed(svg: string): boolean {
  const open: string[] = [];
  for (const [, close, name, self] of svg.matchAll(TAG)) {
    if (close) {
      if (open.pop() !== name) return false;
    } else if (!self) open.push(name!);
  }
  const rest = svg.replace(TAG, '').replace(/&#\d+;/g, '');
  return open.length === 0 && !/[<>&]/.test(rest);
}

describe('toSvg', () => {
  it('is whole and escaped', () => {
    const svg = toSvg(chart());
    expect(wellFormed(svg)).toBe(true);
    expect(svg).toContain('<title>CPU &#60;usage&#62; &#38; &#34;more&#34;</title>');
    expect(svg).toContain('a&#60;b');
    expect(svg).toContain('3.0 cores');
    expect(svg).not.toContain('NaN');
  });

  it('has gaps, and dots where a value is alone', () => {
    const [line] = /<path d="M[^"]*" fill="none"/.exec(toSvg(chart()))!;
    expect(line).toMatch(/d="M[\d. ]+L[\d. ]+M[\d. ]+h0"/);
  });

  it('takes anything', () => {
    const odd: Partial<Drawing>[] = [
      { times: [], series: [] }, { times: [5], series: [{ name: '', color: '"><script>', values: [NaN] }] },
      { width: NaN, height: -1 }, { title: '\u0000\ud800\ufffe' }, { dark: true, unit: 'bytes' },
      { series: [{ name: 'x', color: 'red', values: [Infinity, -5, -5, -5] }] },
      { series: Array.from({ length: 200 }, (_, i) => ({ name: 'a long name '.repeat(i % 9), color: '#fff', values: [i] })) },
    ];
    for (const over of odd) {
      const svg = toSvg(chart(over));
      expect(wellFormed(svg), JSON.stringify(over)).toBe(true);
      expect(svg).not.toMatch(/NaN|Infinity|undefined|\u0000/);
    }
  });
});

describe('what is filled', () => {
  const chart = (more: Partial<Drawing>): string =>
    toSvg({ title: '', width: 200, height: 150, times: [0, 1], series: [{ name: 'a', color: '#111111', values: [1, 2] }], unit: 'count', dark: false, ...more });
  const fills = (svg: string) => [...svg.matchAll(/<path d="(M[^"]+Z)" fill="(#\w+)"/g)].map((m) => m[2]);

  it('is stacked to the one below, and the peak above all', () => {
    const series = ['#111111', '#222222'].map((color) => ({ name: color, color, values: [1, 2] }));
    expect(fills(chart({ series, stacked: true, peak: [9, 9] }))).toEqual(['#111111', '#222222', '#5c6570']);
    expect(chart({ series, stacked: true })).toContain('>4<');
  });

  it('is from least to greatest, without gaps', () => {
    const series = [{ name: 'a', color: '#111111', values: [1, NaN, 2], least: [0, NaN, 1], greatest: [5, NaN, 9] }];
    const [first] = chart({ series, times: [0, 1, 2] }).match(/d="M[^"]+Z"/)!;
    expect(first.match(/Z/g)).toHaveLength(2);
  });

  it('has a logarithmic axis, without what is not above zero', () => {
    const svg = chart({ log: true, series: [{ name: 'a', color: '#111111', values: [0, 10, 1000] }], times: [0, 1, 2] });
    expect(svg).not.toContain('NaN');
    expect(svg).toContain('>100<');
  });
});
