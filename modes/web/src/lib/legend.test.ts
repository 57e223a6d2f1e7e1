import { describe, expect, it } from 'vitest';
import { distinguishing, legendText, only } from './legend';

describe('legendText', () => {
  it('fills in a template', () => {
    expect(legendText('{{device}} {{ op }}', { device: 'sda', op: 'read' })).toBe('sda read');
    expect(legendText('{{device}} {{op}}', { op: 'read' })).toBe('read');
    expect(legendText('CPU {{id}}', { id: '3' })).toBe('CPU 3');
    expect(legendText('{{id', { id: '3' })).toBe('{{id');
  });

  it('puts in values as they are', () => {
    expect(legendText('{{a}}', { a: '$& {{b}} $1', b: 'x' })).toBe('$& {{b}} $1');
    expect(legendText('x{{toString}}', {})).toBe('x');
  });

  it('has the labels without a template', () => {
    expect(legendText('', { __name__: 'up', b: '2', a: 'q"\\\n' })).toBe('up{a="q\\"\\\\\\n", b="2"}');
    expect(legendText('', { __name__: 'up' })).toBe('up');
    expect(legendText('', {})).toBe('{}');
    expect(legendText('{{gone}}', { a: 'b' })).toBe('{a="b"}');
  });
});

describe('distinguishing', () => {
  it('names what differs or is absent', () => {
    expect(distinguishing([{ a: '1', b: '2', d: '4' }, { b: '2', c: '', a: '0' }])).toEqual(['a', 'd']);
    expect(distinguishing([{ a: '1' }])).toEqual([]);
    expect(distinguishing([])).toEqual([]);
  });

  it('goes with only', () => {
    expect(only({ a: '1', b: '2' }, ['b', 'c', 'constructor'])).toEqual({ b: '2' });
  });
});
