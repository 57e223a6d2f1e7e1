import { describe, expect, it } from 'vitest';
import { decodeState, encodeState, type ViewState } from './urlstate';

/** The same numbers each time (xorshift). */
function randomly(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

const PIECES = ['a', 'cpu_usage', ' ', '+', '%', '%20', '&', '=', '?', '#', '/', ':', ',', '"', "'", '{', '}', '[5m]', '\\', '\n', 'ä', '😀',
  '<', '>', '`', '$interval', '__proto__', '|', '^', ';', '', '\u0000', '0'];

function randomState(random: () => number): ViewState {
  const text = (): string => Array.from({ length: Math.floor(random() * 5) }, () => PIECES[Math.floor(random() * PIECES.length)]).join('');
  const list = (): string[] => Array.from({ length: Math.floor(random() * 4) }, text);
  const real = (): number => (random() - 0.3) * 10 ** Math.floor(random() * 40 - 15);
  const state: ViewState = { page: text() };
  if (random() < 0.5) state.start = real();
  if (random() < 0.5) state.end = 1795341600 + Math.floor(random() * 1e6) / 1000;
  if (random() < 0.5) state.range = Math.floor(random() * 5000);
  if (random() < 0.5) state.live = random() < 0.5;
  if (random() < 0.5) state.theme = text();
  if (random() < 0.5) state.queries = list();
  if (random() < 0.5) state.selected = Object.fromEntries(list().map((name) => [name, list()]));
  if (random() < 0.5) state.compare = { mode: text(), offset: real() };
  return state;
}

describe('encodeState', () => {
  it('is read easily', () => {
    expect(encodeState({ page: 'cpu' })).toBe('#/cpu');
    expect(encodeState({ page: '' })).toBe('#/');
    expect(encodeState({ page: 'cpu', start: 1795341600, end: 1795341660.5 })).toBe('#/cpu?from=1795341600&to=1795341660.5');
    expect(encodeState({ page: 'cgroups', selected: { name: ['/a/b', '/c d'] }, compare: { mode: 'start', offset: -5 }, live: true }))
      .toBe('#/cgroups?live=1&compare=start:-5&s=name:/a/b,/c+d');
    expect(encodeState({ page: 'explorer', queries: ['rate(x[$interval])'] })).toBe('#/explorer?q=rate(x%5B$interval%5D)');
  });

  it('comes back the same, whatever it is, and also through a URL', () => {
    const random = randomly(20261127);
    for (let i = 0; i < 5000; i++) {
      const state = randomState(random);
      const hash = encodeState(state);
      expect(decodeState(hash)).toEqual(state);
      expect(hash).toMatch(/^#[\x21-\x7e]*$/);
      expect(decodeState(new URL(`http://localhost/${hash}`).hash)).toEqual(state);
    }
  });

  it('leaves out what is no number, and takes lone surrogates', () => {
    expect(encodeState({ page: 'a', start: NaN, end: Infinity, compare: { mode: 'x', offset: NaN } })).toBe('#/a');
    expect(decodeState(encodeState({ page: '\ud800x' })).page).toBe('\ufffdx');
  });
});

describe('decodeState', () => {
  it.each([
    '', '#', '#/', '/', '#/?', '#?&&=&', '#/%',
    '#/?from=x&to=Infinity&live=2&range=0x10&compare=a&theme=%',
    '#/?s=%:a&q=%&compare=:&hasOwnProperty=1',
  ])('takes %j', (hash) => {
    expect(decodeState(hash)).toEqual({ page: '' });
  });

  it('does not throw, whatever it gets', () => {
    const random = randomly(7);
    const pieces = [...PIECES, 'from=', 'to=', 'q=', 's=', 'compare=', 'live=1', '&', '?', '#/'];
    for (let i = 0; i < 5000; i++) {
      const hash = Array.from({ length: Math.floor(random() * 12) }, () => pieces[Math.floor(random() * pieces.length)]).join('');
      const state = decodeState(hash);
      expect(decodeState(encodeState(state))).toEqual(state);
    }
  });
});

declare const URL: new (text: string) => { hash: string };
