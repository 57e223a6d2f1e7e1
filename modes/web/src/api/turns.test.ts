import { expect, test } from 'vitest';
import { BEHIND, Turns } from './turns';

/** Work that ends when it is told, and what began in which order. */
function bench(most: number) {
  const turns = new Turns(most);
  const began: string[] = [];
  const ends = new Map<string, (fail?: Error) => void>();
  const ask = (name: string, rank: number | (() => number), signal?: AbortSignal) =>
    turns.run(
      typeof rank === 'number' ? () => rank : rank,
      () => {
        began.push(name);
        return new Promise<string>((done, fail) => ends.set(name, (error) => (error ? fail(error) : done(name))));
      },
      signal,
    );
  const end = async (name: string, fail?: Error) => {
    ends.get(name)!(fail);
    await tick();
  };
  return { turns, began, ask, end };
}

const tick = () => new Promise((done) => setTimeout(done, 5));

test('the least rank goes first, and no more run than may', async () => {
  const { began, ask, end } = bench(2);
  const all = [ask('a', 1), ask('b', 1), ask('c', 0), ask('d', 1)];
  await tick();
  expect(began).toEqual(['c', 'a']);
  await end('a');
  expect(began).toEqual(['c', 'a', 'b']);
  await end('c');
  await end('b');
  await end('d');
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
});

test('what nobody sees waits for all that is seen, unless it comes into sight', async () => {
  const { turns, began, ask, end } = bench(4);
  let rank = BEHIND;
  void ask('near', () => rank);
  void ask('far', BEHIND);
  void ask('seen', 1);
  await tick();
  expect(began).toEqual(['seen']);
  rank = 1;
  void ask('also seen', 1);
  await tick();
  expect(began).toEqual(['seen', 'near', 'also seen']);
  await end('seen');
  await end('near');
  expect(began).not.toContain('far');
  expect(turns.busy).toBe(true);
  await end('also seen');
  expect(began).toContain('far');
  expect(turns.busy).toBe(false);
});

test('what is aborted never begins, and what fails makes room', async () => {
  const { began, ask, end } = bench(1);
  const failing = ask('failing', 0);
  const failed = expect(failing).rejects.toThrow('no');
  const abort = new AbortController();
  const aborted = expect(ask('aborted', 0, abort.signal)).rejects.toThrow();
  void ask('last', 0);
  await tick();
  abort.abort();
  await aborted;
  await end('failing', new Error('no'));
  await failed;
  expect(began).toEqual(['failing', 'last']);
  await expect(ask('late', 0, abort.signal)).rejects.toThrow();
});
