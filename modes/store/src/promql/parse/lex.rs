//! Queries cut into tokens.

use std::ops::Range;

use super::literal::{self, quoted, quoted_char};

/// What a token is, by the names that errors have for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    End,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    String,
    Number,
    Duration,
    Operator,
    Aggregation,
    Keyword,
    /// Brackets, commas, colons, `=`, and the words `start`, `end`, `step`, `range`.
    Mark,
    /// There are no tokens after this one; and why.
    Bad(String),
}

#[derive(Clone, Debug)]
pub struct Token<'q> {
    pub kind: Kind,
    pub text: &'q str,
    pub start: usize,
}

impl Token<'_> {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Whether it is this operator, keyword or mark.
    pub fn is(&self, text: &str) -> bool {
        let fixed = matches!(self.kind, Kind::Operator | Kind::Keyword | Kind::Mark | Kind::Aggregation);
        fixed && self.text.eq_ignore_ascii_case(text)
    }

    /// As errors speak of it.
    pub fn described(&self) -> String {
        let text = match self.text.char_indices().nth(10) {
            Some((end, _)) if self.text.len() > 10 => format!("{}...", quoted(&self.text[..end])),
            _ => quoted(self.text),
        };
        match self.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quoted(self.text)),
            Kind::MetricIdentifier => format!("metric identifier {}", quoted(self.text)),
            Kind::String => format!("string {text}"),
            Kind::Number => format!("number {text}"),
            Kind::Duration => format!("duration {text}"),
            Kind::Operator => format!("<op:{}>", self.text),
            Kind::Aggregation => format!("<aggr:{}>", self.text),
            Kind::Keyword => format!("<{}>", self.text),
            Kind::Mark | Kind::Bad(_) => text,
        }
    }
}

/// The tokens of a query; the last one is [`Kind::End`] or [`Kind::Bad`].
pub fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { query, start: 0, at: 0, parens: 0, within: Within::Expression, colon: false };
    let mut all = Vec::new();
    loop {
        lexer.skip_blank();
        lexer.start = lexer.at;
        let kind = lexer.token().unwrap_or_else(Kind::Bad);
        let last = matches!(kind, Kind::End | Kind::Bad(_));
        all.push(Token { kind, text: &query[lexer.start..lexer.at], start: lexer.start });
        if last {
            return all;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Expression,
    Braces,
    /// Of a range, where words are few.
    Brackets,
}

struct Lexer<'q> {
    query: &'q str,
    /// Where the token begins,
    start: usize,
    /// and how far it is read.
    at: usize,
    parens: usize,
    within: Within,
    /// There was a colon within the brackets.
    colon: bool,
}

impl<'q> Lexer<'q> {
    fn rest(&self) -> &'q str {
        &self.query[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn accept(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    /// Passes spaces and comments.
    fn skip_blank(&mut self) {
        loop {
            self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
            if self.peek() != Some('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn token(&mut self) -> Result<Kind, String> {
        let Some(first) = self.next() else { return self.end() };
        match first {
            '"' | '\'' | '`' if self.within != Within::Brackets => self.string(first),
            _ if self.within == Within::Braces => self.in_braces(first),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                Err("unexpected character: '.'".to_owned())
            }
            '.' | '0'..='9' => self.number(),
            ':' if self.within == Within::Brackets => {
                if std::mem::replace(&mut self.colon, true) {
                    return Err("unexpected colon ':'".to_owned());
                }
                Ok(Kind::Mark)
            }
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => self.word(),
            _ => self.mark(first),
        }
    }

    fn end(&self) -> Result<Kind, String> {
        match self.within {
            Within::Braces => Err("unexpected end of input inside braces".to_owned()),
            _ if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            Within::Brackets => Err("unclosed left bracket".to_owned()),
            Within::Expression => Ok(Kind::End),
        }
    }

    fn in_braces(&mut self, first: char) -> Result<Kind, String> {
        match first {
            ',' => Ok(Kind::Mark),
            '}' => {
                self.within = Within::Expression;
                Ok(Kind::Mark)
            }
            '=' => Ok(if self.accept('~') { Kind::Operator } else { Kind::Mark }),
            '!' if self.accept('~') || self.accept('=') => Ok(Kind::Operator),
            '!' => Err(format!("unexpected character after '!' inside braces: {}", self.shown_next())),
            '{' => Err("unexpected left brace '{'".to_owned()),
            c if c.is_ascii_alphabetic() || c == '_' => {
                self.at +=
                    self.rest().find(|c: char| !is_alphanumeric(c)).unwrap_or_else(|| self.rest().len());
                Ok(Kind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", quoted_char(c))),
        }
    }

    /// The next character, as errors show it.
    fn shown_next(&self) -> String {
        // Go's name for the end of a text.
        self.peek().map_or_else(|| "'\u{fffd}'".to_owned(), quoted_char)
    }

    fn mark(&mut self, first: char) -> Result<Kind, String> {
        match first {
            ',' => return Ok(Kind::Mark),
            '=' if self.accept('=') => {}
            '=' if self.peek() == Some('~') => return Err("unexpected character after '=': '~'".to_owned()),
            '=' => return Ok(Kind::Mark),
            '!' if self.accept('=') => {}
            '!' => return Err(format!("unexpected character after '!': {}", self.shown_next())),
            '<' => drop(self.accept('=') || self.trims()),
            '>' => drop(self.accept('=') || self.trims()),
            '@' | '+' | '-' | '*' | '/' | '%' | '^' => {}
            _ => return self.bracket(first),
        }
        Ok(Kind::Operator)
    }

    /// `</` and `>/`
    fn trims(&mut self) -> bool {
        self.accept('/')
    }

    fn bracket(&mut self, bracket: char) -> Result<Kind, String> {
        let within = self.within;
        match bracket {
            '(' => self.parens += 1,
            ')' => {
                let Some(open) = self.parens.checked_sub(1) else {
                    // Prometheus has passed it by then.
                    self.start = self.at;
                    return Err("unexpected right parenthesis ')'".to_owned());
                };
                self.parens = open;
            }
            '{' if within == Within::Expression => self.within = Within::Braces,
            '[' if within == Within::Brackets => return Err("unexpected left bracket '['".to_owned()),
            '[' => (self.within, self.colon) = (Within::Brackets, false),
            ']' if within == Within::Brackets => self.within = Within::Expression,
            ']' => return Err("unexpected right bracket ']'".to_owned()),
            c if within == Within::Brackets => {
                return Err(format!("unexpected character in duration expression: {}", quoted_char(c)));
            }
            c => return Err(format!("unexpected character: {}", quoted_char(c))),
        }
        Ok(Kind::Mark)
    }

    /// A number or duration.
    fn number(&mut self) -> Result<Kind, String> {
        let text = &self.query[self.start..];
        let number = literal::number_length(text);
        let follows = |length: usize| text[length..].chars().next().filter(|c| is_alphanumeric(*c));
        if let Some(length) = number.filter(|length| follows(*length).is_none()) {
            self.at = self.start + length;
            return Ok(Kind::Number);
        }
        let (length, whole) = literal::duration_length(text);
        self.at = self.start + length;
        if whole && follows(length).is_none() {
            return Ok(Kind::Duration);
        }
        // The error shows the first character that does not belong there.
        self.next();
        Err(format!("bad number or duration syntax: {}", quoted(&self.query[self.start..self.at])))
    }

    fn word(&mut self) -> Result<Kind, String> {
        let belongs = |c: char| is_alphanumeric(c) || (c == ':' && self.within == Within::Expression);
        self.at += self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len());
        let word = &self.query[self.start..self.at];
        if self.within == Within::Brackets {
            if ["step", "range", "min", "max"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
                return Ok(Kind::Mark);
            }
            let first = word.chars().next().unwrap_or_default();
            return Err(format!("unexpected character in duration expression: {}", quoted_char(first)));
        }
        Ok(match word.to_ascii_lowercase().as_str() {
            "and" | "or" | "unless" | "atan2" => Kind::Operator,
            "inf" | "nan" => Kind::Number,
            "start" | "end" | "step" | "range" => Kind::Mark,
            "sum" | "avg" | "count" | "min" | "max" | "group" | "stddev" | "stdvar" | "topk" | "bottomk"
            | "count_values" | "quantile" | "limitk" | "limit_ratio" => Kind::Aggregation,
            "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" | "bool" | "offset"
            | "fill" | "fill_left" | "fill_right" | "smoothed" | "anchored" => Kind::Keyword,
            _ if word.contains(':') => Kind::MetricIdentifier,
            _ => Kind::Identifier,
        })
    }

    fn string(&mut self, quote: char) -> Result<Kind, String> {
        let raw = quote == '`';
        let unterminated = || format!("unterminated {} string", if raw { "raw" } else { "quoted" });
        loop {
            match self.next() {
                None => return Err(unterminated()),
                Some('\n') if !raw => return Err(unterminated()),
                Some(c) if c == quote => return Ok(Kind::String),
                Some('\\') if !raw => self.escape(quote)?,
                Some(_) => {}
            }
        }
    }

    /// Passes what is escaped.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        const UNTERMINATED: &str = "escape sequence not terminated";
        let kind = self.next().ok_or(UNTERMINATED)?;
        let (digits, radix, first) = match kind {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => (2, 8, kind.to_digit(8)),
            'x' => (2, 16, None),
            'u' => (4, 16, None),
            'U' => (8, 16, None),
            c => return Err(format!("unknown escape sequence U+{:04X} {}", c as u32, quoted_char(c))),
        };
        let mut code = first.unwrap_or(0);
        for _ in 0..digits {
            let digit = self.next().ok_or(UNTERMINATED)?;
            let value = digit.to_digit(radix).ok_or_else(|| {
                let shown = quoted_char(digit);
                format!("illegal character U+{:04X} {shown} in escape sequence", digit as u32)
            })?;
            code = code.wrapping_mul(radix).wrapping_add(value);
        }
        let most = if radix == 8 { 255 } else { 0x0010_ffff };
        if code > most || (0xd800..0xe000).contains(&code) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
