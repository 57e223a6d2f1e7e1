/** Where in a query something is: the server counts bytes of UTF-8, the page UTF-16. */

/** The UTF-16 index of a byte; within a character that of its beginning, beyond the end the end. */
export function utf16(text: string, byte: number): number {
  let at = 0;
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > byte) return at;
    at += character.length;
  }
  return at;
}

/** A query before, within, and behind bytes `first` to `end`. */
export function cut(text: string, [first, end]: [number, number]): [string, string, string] {
  const from = utf16(text, first);
  const to = Math.max(from, utf16(text, end));
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}
