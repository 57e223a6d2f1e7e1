//! Parses queries: by hand, since errors are to say where they are and annotations
//! what they speak of. The language and the words of its errors are those of
//! Prometheus 3.
//!
//! What is wrong with the form of a query ends parsing. What is wrong with the
//! types of its parts is noted, the first of it, and told if the form is good.

mod arguments;
mod braces;
mod expression;
mod functions;
mod length;
mod lex;
mod literal;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::ast::{Node, Selector, Shift};
use super::place::Place;
use super::{Error, ErrorKind};
use crate::matcher::Matcher;
use lex::{Kind, Token};

/// Queries may have so many bytes,
const MOST_BYTES: usize = 1 << 16;
/// and expressions be nested so deep.
const MOST_DEPTH: usize = 400;
/// Enough for that, also without optimizations.
const STACK: usize = 32 << 20;

/// What `step()` and `range()` are within durations, ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub step: i64,
    pub range: i64,
}

/// Parses a query.
///
/// # Errors
///
/// When it is none.
pub fn query(text: &str, times: Times) -> Result<Node, Error> {
    parse(text, times, false)
}

fn parse(text: &str, times: Times, empty_selector: bool) -> Result<Node, Error> {
    if text.len() > MOST_BYTES {
        let length = text.len();
        let why = format!("the query has {length} bytes; {MOST_BYTES} is the most");
        return Err(error(text, 0..0, &why));
    }
    let tokens = lex::tokens(text);
    bounded(text, &tokens)?;
    let mut parser = Parser {
        query: text,
        tokens,
        at: 0,
        times,
        depth: 0,
        aggregations: 0,
        empty_selector,
        complaint: None,
    };
    if parser.token().kind == Kind::End {
        return Err(error(text, 0..0, "no expression found in input"));
    }
    let parsed = parser.expression(0)?;
    if parser.token().kind != Kind::End {
        return Err(parser.unexpected());
    }
    parser.complaint.map_or(Ok(parsed.node), Err)
}

/// A query with its numbers in the form that `promql-parser` knows too.
pub fn without_underscores(text: &str) -> String {
    let mut out = text.to_owned();
    for token in lex::tokens(text).iter().rev().filter(|token| token.kind == Kind::Number) {
        out.replace_range(token.range(), &token.text.replace('_', ""));
    }
    out
}

/// Parses a selector of series, such as `match[]` of the HTTP API takes.
///
/// # Errors
///
/// When it is none.
pub fn selector(text: &str) -> Result<Vec<Matcher>, Error> {
    match with_room(|| parse(text, Times::default(), true))? {
        Node::Selector(Selector { matchers, shift: Shift { offset: 0, at: None }, extension: None }) => {
            Ok(matchers)
        }
        _ => Err(Error::bad_data(format!("{text:?} is no series selector"))),
    }
}

/// Does something with a query on a stack on which the deepest one has room, whatever
/// thread asks.
///
/// # Errors
///
/// Those of the work; and when there is no thread for it.
pub fn with_room<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread
            .ok()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "there is no thread to read the query")))
    })
}

/// Refuses what would be nested too deep to evaluate: every operator and bracket
/// may be a level.
fn bounded(query: &str, tokens: &[Token<'_>]) -> Result<(), Error> {
    let (mut depth, mut operators) = (0usize, 0usize);
    for token in tokens {
        match (&token.kind, token.text) {
            (Kind::Mark, "(" | "[" | "{") => depth += 1,
            (Kind::Mark, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            (Kind::Operator, _) => operators += 1,
            _ => {}
        }
        // A chain of operators is a tree as deep as it is long.
        if depth > MOST_DEPTH || operators > 4 * MOST_DEPTH {
            return Err(too_deep(query, token.range()));
        }
    }
    Ok(())
}

fn too_deep(query: &str, range: Range<usize>) -> Error {
    let operators = 4 * MOST_DEPTH;
    let why =
        format!("the query is nested too deep: {MOST_DEPTH} brackets, {operators} operators are the most");
    error(query, range, &why)
}

/// Something that is wrong there, in bytes.
fn error(query: &str, range: Range<usize>, what: &str) -> Error {
    let place = Place::of(query, range.start);
    let mut error = Error::bad_data(format!("{place}: parse error: {what}"));
    error.range = Some(range);
    error
}

/// What an expression is evaluated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Scalar,
    String,
    Vector,
    Range,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Range => "range vector",
        }
    }
}

/// An expression, and where it stands.
struct Parsed {
    node: Node,
    kind: Type,
    range: Range<usize>,
}

struct Parser<'q> {
    query: &'q str,
    /// The last one is the end or an error.
    tokens: Vec<Token<'q>>,
    at: usize,
    times: Times,
    depth: usize,
    /// How many aggregations the parser is within; errors say so.
    aggregations: usize,
    /// A selector may be without matchers.
    empty_selector: bool,
    /// The first thing that is wrong with types.
    complaint: Option<Error>,
}

impl<'q> Parser<'q> {
    fn token(&self) -> &Token<'q> {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn after(&self) -> Option<&Token<'q>> {
        self.tokens.get(self.at + 1)
    }

    fn is(&self, text: &str) -> bool {
        self.token().is(text)
    }

    /// Passes a token.
    fn next(&mut self) -> Token<'q> {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    fn accept(&mut self, text: &str) -> bool {
        let there = self.is(text);
        self.at += usize::from(there);
        there
    }

    /// Where what was passed last ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.range().end)
    }

    fn error(&self, range: Range<usize>, what: impl AsRef<str>) -> Error {
        error(self.query, range, what.as_ref())
    }

    /// Notes what is wrong with types.
    fn complain(&mut self, range: Range<usize>, what: impl AsRef<str>) {
        if self.complaint.is_none() {
            self.complaint = Some(self.error(range, what));
        }
    }

    /// The next token is not what may come here.
    fn unexpected(&self) -> Error {
        self.unexpected_in(if self.aggregations > 0 { "aggregation" } else { "" }, "")
    }

    fn unexpected_in(&self, context: &str, expected: &str) -> Error {
        let token = self.token();
        if let Kind::Bad(why) = &token.kind {
            return self.error(token.range(), why);
        }
        let mut text = format!("unexpected {}", token.described());
        if !context.is_empty() {
            text += &format!(" in {context}");
        }
        if !expected.is_empty() {
            text += &format!(", expected {expected}");
        }
        self.error(token.range(), text)
    }

    fn expect(&mut self, text: &str) -> Result<(), Error> {
        if self.accept(text) { Ok(()) } else { Err(self.unexpected()) }
    }
}
