import { describe, expect, it } from 'vitest';
import { inline, markdown, moved, readNotes, type Cell } from './notebook';

describe('readNotes', () => {
  const chart = { type: 'chart', title: 'T', kind: 'line', unit: 'count', queries: [{ query: 'a', legend: '' }], from: 1, to: 2 };

  it('reads what it writes', () => {
    const notes = { version: 1, cells: [{ type: 'text', text: 'x' }, { ...chart, as: ['log'] }] };
    expect(readNotes(JSON.parse(JSON.stringify(notes)))).toEqual(notes);
  });

  it('leaves out what it cannot read', () => {
    const cells = [null, 1, { type: 'text', text: 5 }, { type: 'image' }, { ...chart, queries: [{}] }, { ...chart, from: 'x' }, { ...chart, kind: 'pie', as: [1] }];
    expect(readNotes({ version: 1, cells })).toEqual({ version: 1, cells: [chart] });
    for (const other of [null, undefined, 'x', { version: 2, cells: [] }, { version: 1 }]) expect(readNotes(other)).toBeNull();
  });
});

it('moves cells', () => {
  const cells: Cell[] = ['a', 'b', 'c'].map((text) => ({ type: 'text', text }));
  const texts = (of: Cell[]) => of.map((c) => (c as { text: string }).text).join('');
  expect(texts(moved(cells, 1, -1))).toBe('bac');
  expect(texts(moved(cells, 1, 1))).toBe('acb');
  expect(moved(cells, 0, -1)).toBe(cells);
  expect(moved(cells, 2, 1)).toBe(cells);
  expect(texts(cells)).toBe('abc');
});

describe('markdown', () => {
  it('knows headings, lists and paragraphs', () => {
    expect(markdown('# A\nb\nc\n\n- d\n- e\nf')).toEqual([
      { kind: 'heading', level: 1, text: [{ kind: 'text', text: 'A' }] },
      { kind: 'paragraph', text: [{ kind: 'text', text: 'b\nc' }] },
      { kind: 'list', items: [[{ kind: 'text', text: 'd' }], [{ kind: 'text', text: 'e' }]] },
      { kind: 'paragraph', text: [{ kind: 'text', text: 'f' }] },
    ]);
    expect(markdown('')).toEqual([]);
  });

  it('knows what stands out in a line', () => {
    expect(inline('a `b*c*` **d** *e* 2*3*4').map((i) => `${i.kind}:${i.text}`)).toEqual([
      'text:a ', 'code:b*c*', 'text: ', 'strong:d', 'text: ', 'em:e', 'text: 2', 'em:3', 'text:4',
    ]);
  });

  it('links to the web only, and leaves HTML as it is', () => {
    expect(inline('[a](https://b.example/c) [x](javascript:alert(1))')).toEqual([
      { kind: 'link', text: 'a', href: 'https://b.example/c' },
      { kind: 'text', text: ' [x](javascript:alert(1))' },
    ]);
    expect(inline('<img src=x onerror=alert(1)>')).toEqual([{ kind: 'text', text: '<img src=x onerror=alert(1)>' }]);
  });
});
