import { expect, it } from 'vitest';
import { cut, utf16 } from './places';

it('counts bytes', () => {
  expect(cut('rate(x)', [5, 6])).toEqual(['rate(', 'x', ')']);
  expect(cut('a', [1, 1])).toEqual(['a', '', '']);
});

it('counts what is no ASCII as many bytes', () => {
  // é has 2 bytes, € 3, 😀 4 and two units of UTF-16.
  const text = '{a="é€😀"} + +)';
  const bytes = (part: string) => new TextEncoder().encode(part).length;
  const first = bytes('{a="é€😀"} + +');
  expect(cut(text, [first, first + 1])).toEqual(['{a="é€😀"} + +', ')', '']);
  expect(cut(text, [4, 6])).toEqual(['{a="', 'é', '€😀"} + +)']);
  expect(cut(text, [9, 13])[1]).toBe('😀');
});

it('does not cut characters, nor leave the text', () => {
  expect(utf16('é', 1)).toBe(0);
  expect(utf16('😀', 3)).toBe(0);
  expect(utf16('é', 9)).toBe(1);
  expect(cut('ab', [9, 3])).toEqual(['ab', '', '']);
  // A surrogate alone is sent as U+FFFD, of three bytes.
  expect(utf16('\ud800x', 3)).toBe(1);
});
