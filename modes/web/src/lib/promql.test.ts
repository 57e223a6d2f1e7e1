import { describe, expect, it } from 'vitest';
import { complete, fill, metricNames, tokens, unknown, type Known } from './promql';

const known: Known = {
  metrics: [
    { name: 'cpu_usage', type: 'counter', help: 'Time', labels: { id: ['0', '1'], state: ['user', 'system'] } },
    { name: 'blockio_latency', type: 'histogram', help: '', labels: { op: ['read', 'write'], device: ['sda', 'a"b', 'a.b'] } },
    { name: 'softirq_time', type: 'counter', help: '', labels: { kind: ['net_rx'] } },
  ],
};

/** With the cursor at `|`. */
function at(marked: string): ReturnType<typeof complete> & { texts: string[]; replaced: string } {
  const cursor = marked.indexOf('‸');
  const text = marked.replace('‸', '');
  const found = complete(text, cursor, known);
  return { ...found, texts: found.options.map((o) => o.text), replaced: text.slice(found.from, found.to) };
}

const kinds = (text: string): string[] => tokens(text).map((t) => `${text.slice(t.from, t.to)} ${t.kind}`);

describe('tokens', () => {
  it('are told by kind', () => {
    expect(kinds('sum by (id) (rate(cpu_usage{state="user"}[$interval:5s] offset 1h30m)) / 0x1f # x')).toEqual([
      'sum aggregation', 'by keyword', '( bracket', 'id label', ') bracket', '( bracket', 'rate function', '( bracket',
      'cpu_usage metric', '{ bracket', 'state label', '= operator', '"user" string', '} bracket', '[ bracket',
      '$interval variable', ': punctuation', '5s duration', '] bracket', 'offset keyword', '1h30m duration', ') bracket',
      ') bracket', '/ operator', '0x1f number', '# x comment',
    ]);
    expect(kinds('a:b @ end() and nosuch(1e3) > bool -Inf')).toContain('nosuch error');
    expect(kinds('sum')).toEqual(['sum metric']);
    expect(kinds("{a='it\\'s")).toContain("'it\\'s string");
  });

  it('cover any text', () => {
    const pieces = ['"', "'", '`', '\\', '{', '}', '(', ')', '[', ']', 'by', 'x', '1', '.', '#', '\n', '$', '$a', 'ä', '=', '~', ' ', 'sum', ','];
    for (let seed = 1; seed < 4000; seed++) {
      let x = seed;
      const text = Array.from({ length: 9 }, () => pieces[(x = (x * 48271) % 2147483647) % pieces.length]).join('');
      let end = 0;
      for (const token of tokens(text)) {
        expect(text.slice(end, token.from).trim()).toBe('');
        expect(token.to).toBeGreaterThan(token.from);
        end = token.to;
      }
      expect(text.slice(end).trim()).toBe('');
      for (let cursor = 0; cursor <= text.length; cursor++) {
        const { from, to } = complete(text, cursor, known);
        expect(from <= cursor && cursor <= to, `${JSON.stringify(text)} ${cursor}`).toBe(true);
      }
      fill(text, { a: '1' });
      metricNames(text, known);
    }
  });
});

describe('complete', () => {
  it('metrics, by their beginning first', () => {
    expect(at('cpu‸').texts[0]).toBe('cpu_usage');
    expect(at('sum(usa‸)')).toMatchObject({ replaced: 'usa', texts: ['cpu_usage'] });
    expect(at('‸').texts.slice(0, 3)).toEqual(['cpu_usage', 'blockio_latency', 'softirq_time']);
    expect(at('cp‸').options[0]).toMatchObject({ kind: 'metric', detail: 'counter · Time' });
  });

  it('functions and aggregations', () => {
    expect(at('rat‸').options[0]).toMatchObject({ text: 'rate(', kind: 'function', detail: '(range) increase per second' });
    expect(at('rat‸(x)').texts[0]).toBe('rate');
    expect(at('nosuc‸(x)').texts).toEqual([]);
    expect(at('topk(3, su‸').texts[0]).toBe('sum(');
    expect(at('1 + pi‸').texts).toContain('pi()');
  });

  it('what follows an expression', () => {
    expect(at('cpu_usage ‸').texts).toEqual(expect.arrayContaining(['+', 'and', 'offset', '@']));
    expect(at('cpu_usage un‸')).toMatchObject({ replaced: 'un', texts: ['unless'] });
    expect(at('sum(cpu_usage) b‸').texts[0]).toBe('by');
    expect(at('sum ‸(x)').texts).toEqual(['by', 'without']);
    expect(at('a / ‸').texts).toEqual(expect.arrayContaining(['cpu_usage', 'on', 'ignoring']));
    expect(at('a / on (id) gro‸').texts).toContain('group_left');
    expect(at('a offset ‸').texts).toContain('5m');
  });

  it('labels', () => {
    expect(at('cpu_usage{‸}').texts).toEqual(['id', 'state']);
    expect(at('cpu_usage{id="0", ‸').texts).toEqual(['state']);
    expect(at('{st‸').texts).toEqual(['state']);
    expect(at('cpu_usage{id‸="0"}')).toMatchObject({ replaced: 'id', texts: ['id'] });
    expect(at('cpu_usage{id ‸').texts).toContain('=~');
    expect(at('sum by (‸) (blockio_latency)').texts).toEqual(['device', 'op']);
    expect(at('sum(blockio_latency) by (op, ‸)').texts).toEqual(['device']);
    expect(at('nosuch{‸').texts).toEqual(['device', 'id', 'kind', 'op', 'state']);
  });

  it('values', () => {
    expect(at('cpu_usage{state="‸"}')).toMatchObject({ replaced: '', texts: ['user', 'system'] });
    expect(at('cpu_usage{state="us‸er"}')).toMatchObject({ replaced: 'user', texts: ['user'] });
    expect(at('cpu_usage{state="sys‸')).toMatchObject({ replaced: 'sys', texts: ['system'] });
    expect(at('blockio_latency{device="‸"}').texts).toEqual(['sda', 'a\\"b', 'a.b']);
    expect(at('blockio_latency{device=~"sda|a‸|x"}')).toMatchObject({ replaced: 'a' });
    expect(at('blockio_latency{device=~"sda|‸"}').texts).toContain('a\\\\.b');
    expect(at('cpu_usage{state=‸}').texts).toEqual(['"user"', '"system"']);
    expect(at('{__name__="soft‸"}').texts).toEqual(['softirq_time']);
    expect(at('{"softirq_time", kind="‸"}').texts).toEqual(['net_rx']);
    expect(at('label_replace(x, "‸").texts').texts).toEqual([]);
  });

  it('durations, and nothing in comments', () => {
    expect(at('rate(x[‸').texts[0]).toBe('$interval');
    expect(at('rate(x[1‸])')).toMatchObject({ replaced: '1' });
    expect(at('rate(x[$in‸])')).toMatchObject({ replaced: '$in', texts: ['$interval'] });
    expect(at('x # cp‸').texts).toEqual([]);
  });
});

describe('fill', () => {
  it('replaces whole words outside of strings', () => {
    expect(fill('q($quantile, r(x{a="$interval"}[$interval:$interval2])) # $interval', { interval: '5s', quantile: '0.9' }))
      .toBe('q(0.9, r(x{a="$interval"}[5s:$interval2])) # $interval');
    expect(fill('$toString', {})).toBe('$toString');
    expect(fill('a[$i]', { i: '$&' })).toBe('a[$&]');
  });
});

describe('metricNames', () => {
  it('are those asked for', () => {
    expect(metricNames('rate(cpu_usage[1m]) / other + cpu_usage + {__name__="softirq_time"} + {"blockio_latency"}', known))
      .toEqual(['cpu_usage', 'softirq_time', 'blockio_latency']);
    expect(metricNames('x{a="cpu_usage"}', known)).toEqual([]);
  });
});

describe('unknown', () => {
  it('leaves out guesses about metrics that are known', () => {
    const guess = (name: string) => `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "${name}" (1:22)`;
    const infos = [guess('cpu_usage'), guess('cpu_cores'), 'something else'];
    expect(unknown(infos, new Set(['cpu_usage']))).toEqual(infos.slice(1));
  });
});
