/** Queries cut into tokens, also unfinished ones: for colours and for completion. Nothing is refused. */

import { AGGREGATION_NAMES, FUNCTION_NAMES, KEYWORDS, LABELLED } from './words';

export type TokenKind =
  | 'metric' | 'function' | 'aggregation' | 'keyword' | 'label' | 'string' | 'number' | 'duration' | 'variable'
  | 'operator' | 'bracket' | 'punctuation' | 'comment' | 'error';

/** `text.slice(from, to)`, in UTF-16 units as strings have them. */
export interface Token {
  from: number;
  to: number;
  kind: TokenKind;
}

const BLANK = /\s+/y;
const COMMENT = /#[^\n]*/y;
/** A string that is not closed ends with its line, a raw one with the text. */
const STRING = /"(?:\\.|[^"\\\n])*(?:"|\\?(?=\n|$))|'(?:\\.|[^'\\\n])*(?:'|\\?(?=\n|$))|`[^`]*(?:`|$)/y;
const VARIABLE = /\$[a-zA-Z_]\w*/y;
const DURATION = /(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+(?!\w)/y;
const NUMBER = /0[xX][\da-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const WORD = /[a-zA-Z_:][\w:]*/y;
const OPERATOR = /=~|!~|==|!=|<=|>=|<\/|>\/|[-+*/%^<>=@]/y;

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** What the brackets around the current place hold. */
type Within = 'expression' | 'labels' | 'matchers' | 'range';

function nextWord(text: string, at: number): string {
  const blank = match(BLANK, text, at) ?? '';
  return match(WORD, text, at + blank.length) ?? text[at + blank.length] ?? '';
}

function wordKind(text: string, at: number, word: string, within: Within, before: string): TokenKind {
  if (within === 'labels' || within === 'matchers') return 'label';
  const lower = word.toLowerCase();
  const next = nextWord(text, at + word.length);
  if (before === '@' && (lower === 'start' || lower === 'end')) return 'function';
  if (AGGREGATION_NAMES.has(lower) && (next === '(' || /^(by|without)$/i.test(next))) return 'aggregation';
  if (KEYWORDS.has(lower)) return 'keyword';
  if (lower === 'inf' || lower === 'nan') return 'number';
  if (next === '(') return FUNCTION_NAMES.has(word) ? 'function' : 'error';
  return 'metric';
}

/** The tokens in order; blanks are in none of them, everything else is. */
export function tokens(text: string): Token[] {
  const all: Token[] = [];
  const around: Within[] = [];
  let before = '';
  let at = 0;
  const put = (length: number, kind: TokenKind): void => {
    if (kind !== 'comment') before = text.slice(at, at + length).toLowerCase();
    all.push({ from: at, to: at + length, kind });
    at += length;
  };
  while (at < text.length) {
    const within = around.at(-1) ?? 'expression';
    const blank = match(BLANK, text, at);
    if (blank) {
      at += blank.length;
      continue;
    }
    const c = text[at]!;
    let found: string | undefined;
    if ('([{'.includes(c)) {
      around.push(c === '{' ? 'matchers' : c === '[' ? 'range' : LABELLED.has(before) ? 'labels' : 'expression');
      put(1, 'bracket');
    } else if (')]}'.includes(c)) {
      put(1, around.pop() === undefined ? 'error' : 'bracket');
    } else if ((found = match(COMMENT, text, at))) put(found.length, 'comment');
    else if ((found = match(STRING, text, at))) put(found.length, 'string');
    else if ((found = match(VARIABLE, text, at))) put(found.length, 'variable');
    else if ((found = match(DURATION, text, at))) put(found.length, 'duration');
    else if ((found = match(NUMBER, text, at))) put(found.length, 'number');
    else if (within === 'range' && c === ':') put(1, 'punctuation');
    else if ((found = match(WORD, text, at))) put(found.length, wordKind(text, at, found, within, before));
    else if ((found = match(OPERATOR, text, at))) put(found.length, 'operator');
    else put(1, c === ',' ? 'punctuation' : 'error');
  }
  return all;
}

/** Whether a string token has its closing quote. */
export function closed(text: string, token: Token): boolean {
  const inner = text.slice(token.from + 1, token.to);
  const quote = text[token.from]!;
  if (!inner.endsWith(quote)) return false;
  return quote === '`' || /(\\*)$/.exec(inner.slice(0, -1))![1]!.length % 2 === 0;
}
