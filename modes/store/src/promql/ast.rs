//! Queries as the engine takes them.
//!
//! `promql-parser` does the parsing. What is added here: bounds that keep
//! evaluation from running out of stack, underscores in numbers, and a tree
//! without the parser's own types, in nanoseconds.

use std::time::{Duration, SystemTime};

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{
    AtModifier, BinModifier, Expr, LabelModifier, Offset as ParsedOffset, VectorMatchCardinality,
    VectorSelector, parse,
};

use super::Error;
use super::place::{Place, place};
use crate::guard::guarded;
use crate::labels::NAME;
use crate::matcher::Matcher;

/// Queries may have so many bytes,
const MOST_BYTES: usize = 1 << 16;
/// and expressions be nested so deep.
const MOST_DEPTH: usize = 400;

#[derive(Clone, Debug)]
pub enum Node {
    Number(f64),
    String(String),
    Selector(Selector),
    /// A selector's samples over a range, ns.
    Range(Selector, i64),
    Subquery(Box<Subquery>),
    Call(Call),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    /// Minus.
    Negate(Box<Node>),
    Paren(Box<Node>),
}

#[derive(Clone, Debug)]
pub struct Selector {
    /// One for the name, if it has one, included.
    pub matchers: Vec<Matcher>,
    pub shift: Shift,
}

/// `offset` and `@`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shift {
    /// ns
    pub offset: i64,
    pub at: Option<At>,
}

#[derive(Clone, Copy, Debug)]
pub enum At {
    /// ns since the epoch
    Time(i64),
    Start,
    End,
}

#[derive(Clone, Debug)]
pub struct Subquery {
    pub inner: Node,
    /// ns
    pub range: i64,
    /// ns; None: the default.
    pub step: Option<i64>,
    pub shift: Shift,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub function: &'static str,
    pub args: Vec<Node>,
    pub place: Option<Place>,
    /// Where the arguments begin, as far as is known.
    pub arg_places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub op: AggregateOp,
    pub inner: Node,
    pub param: Option<Node>,
    /// Labels, and whether these are the ones to leave out.
    pub grouping: Vec<String>,
    pub without: bool,
    pub inner_place: Option<Place>,
    pub param_place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Greater | Less | GreaterOrEqual | LessOrEqual)
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

#[derive(Clone, Debug)]
pub struct Binary {
    pub op: BinaryOp,
    pub lhs: Node,
    pub rhs: Node,
    pub return_bool: bool,
    pub matching: Matching,
    pub place: Option<Place>,
}

#[derive(Clone, Debug)]
pub struct Matching {
    /// `on`, not `ignoring`.
    pub on: bool,
    pub labels: Vec<String>,
    pub cardinality: Cardinality,
    /// The labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// What stands for a series that has no partner.
    pub fill_lhs: Option<f64>,
    pub fill_rhs: Option<f64>,
}

/// Parses a query.
///
/// # Errors
///
/// When it is none.
pub fn parse_query(query: &str) -> Result<Node, Error> {
    let mut node = node(&parse_expr(query)?)?;
    place(&mut node, query);
    Ok(node)
}

/// Parses a selector of series, such as `match[]` of the HTTP API takes.
///
/// # Errors
///
/// When it is none.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    match parse_query(text)? {
        Node::Selector(Selector { matchers, shift: Shift { offset: 0, at: None } }) => Ok(matchers),
        _ => Err(Error::bad_data(format!("{text:?} is no series selector"))),
    }
}

/// Parses, within bounds.
pub(super) fn parse_expr(query: &str) -> Result<Expr, Error> {
    if query.len() > MOST_BYTES {
        return Err(Error::bad_data(format!(
            "the query has {} bytes; {MOST_BYTES} is the most",
            query.len()
        )));
    }
    let plain = plain(query);
    bounded(&plain)?;
    // The parser panics over durations that are no durations, such as 19e999.
    guarded(|| parse(&plain)).map_err(|why| Error::bad_data(format!("invalid parameter \"query\": {why}")))
}

/// Refuses what would be nested too deep to evaluate: every operator and bracket
/// may be a level.
fn bounded(query: &str) -> Result<(), Error> {
    let mut depth = 0usize;
    let mut chain = 0usize;
    let mut deepest = 0usize;
    scan(query, |piece| {
        if let Piece::Other(c) = piece {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                '+' | '-' | '*' | '/' | '%' | '^' | '=' | '<' | '>' => chain += 1,
                _ => {}
            }
        } else if let Piece::Word(word) = piece {
            let word = word.to_ascii_lowercase();
            chain += usize::from(matches!(word.as_str(), "and" | "or" | "unless" | "atan2"));
        }
        deepest = deepest.max(depth);
    });
    // A chain of operators is a tree as deep as it is long.
    if deepest > MOST_DEPTH || chain > 4 * MOST_DEPTH {
        return Err(Error::bad_data(format!(
            "the query is nested too deep: {MOST_DEPTH} brackets, {} operators are the most",
            4 * MOST_DEPTH
        )));
    }
    Ok(())
}

pub(super) enum Piece<'a> {
    /// A name, keyword or number.
    Word(&'a str),
    /// A string, comment, or space.
    Opaque(&'a str),
    Other(char),
}

/// Cuts a query into pieces, without leaving anything out.
pub(super) fn scan<'a>(query: &'a str, mut each: impl FnMut(Piece<'a>)) {
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        let length = match first {
            '"' | '\'' | '`' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|&(_, c)| {
                    let ends = c == first && !escaped;
                    escaped = c == '\\' && !escaped && first != '`';
                    ends
                });
                end.map_or(rest.len(), |(at, _)| at + 1)
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        each(match first {
            '"' | '\'' | '`' | '#' => Piece::Opaque(piece),
            c if word(c) => Piece::Word(piece),
            c => Piece::Other(c),
        });
        rest = after;
    }
}

/// The parser does not know underscores in numbers, and takes `\xc3` in a string
/// for a character where Go takes it for a byte.
fn plain(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    scan(query, |piece| match piece {
        Piece::Word(word) => {
            let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            if number && word.contains('_') {
                out.extend(word.chars().filter(|c| *c != '_'));
            } else {
                out.push_str(word);
            }
        }
        Piece::Opaque(text) if text.starts_with(['"', '\'']) => out.push_str(&with_bytes(text)),
        Piece::Opaque(text) => out.push_str(text),
        Piece::Other(c) => out.push(c),
    });
    out
}

/// A string whose escaped bytes beyond ASCII are the characters that they encode;
/// what encodes none becomes U+FFFD.
fn with_bytes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bytes: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((byte, length)) = escaped_byte(rest) {
            bytes.push(byte);
            rest = &rest[length..];
            continue;
        }
        out.push_str(&String::from_utf8_lossy(&std::mem::take(&mut bytes)));
        let length = match rest.strip_prefix('\\').and_then(|escaped| escaped.chars().next()) {
            Some(second) => 1 + second.len_utf8(),
            None => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(&String::from_utf8_lossy(&bytes));
    out
}

/// `\xff` or `\377` at the beginning of a text, if it is not ASCII, and its length.
fn escaped_byte(text: &str) -> Option<(u8, usize)> {
    let (digits, radix) = match text.get(..2)? {
        "\\x" => (text.get(2..4)?, 16),
        _ if text.starts_with('\\') => (text.get(1..4)?, 8),
        _ => return None,
    };
    let byte =
        digits.bytes().all(|c| c.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, radix).ok())??;
    (byte >= 0x80).then_some((byte, 4))
}

/// Whether something can be the name of a label: not empty, and UTF-8.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\u{fffd}')
}

fn node(expr: &Expr) -> Result<Node, Error> {
    Ok(match expr {
        Expr::NumberLiteral(number) => Node::Number(number.val),
        Expr::StringLiteral(string) => Node::String(string.val.clone()),
        Expr::Paren(paren) => Node::Paren(Box::new(node(&paren.expr)?)),
        Expr::Unary(unary) => Node::Negate(Box::new(node(&unary.expr)?)),
        Expr::VectorSelector(parsed) => Node::Selector(selector(parsed)?),
        Expr::MatrixSelector(parsed) => Node::Range(selector(&parsed.vs)?, nanos(parsed.range)),
        Expr::Subquery(parsed) => Node::Subquery(Box::new(Subquery {
            inner: node(&parsed.expr)?,
            range: nanos(parsed.range),
            step: parsed.step.map(nanos),
            shift: shift(parsed.offset.as_ref(), parsed.at.as_ref()),
        })),
        Expr::Call(call) => Node::Call(Call {
            function: call.func.name,
            args: call.args.args.iter().map(|arg| node(arg)).collect::<Result<_, _>>()?,
            place: None,
            arg_places: Vec::new(),
        }),
        Expr::Aggregate(parsed) => {
            let (grouping, without) = match &parsed.modifier {
                Some(LabelModifier::Include(labels)) => (labels.labels.clone(), false),
                Some(LabelModifier::Exclude(labels)) => (labels.labels.clone(), true),
                None => (Vec::new(), false),
            };
            Node::Aggregate(Box::new(Aggregate {
                op: aggregate_op(parsed.op)?,
                inner: node(&parsed.expr)?,
                param: parsed.param.as_deref().map(node).transpose()?,
                grouping,
                without,
                inner_place: None,
                param_place: None,
            }))
        }
        Expr::Binary(parsed) => Node::Binary(Box::new(Binary {
            op: binary_op(parsed.op)?,
            lhs: node(&parsed.lhs)?,
            rhs: node(&parsed.rhs)?,
            return_bool: parsed.modifier.as_ref().is_some_and(|modifier| modifier.return_bool),
            matching: matching(parsed.modifier.as_ref()),
            place: None,
        })),
        Expr::Extension(_) => return Err(Error::bad_data("this is not PromQL")),
    })
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

fn shift(offset: Option<&ParsedOffset>, at: Option<&AtModifier>) -> Shift {
    let offset = match offset {
        Some(ParsedOffset::Pos(duration)) => nanos(*duration),
        Some(ParsedOffset::Neg(duration)) => -nanos(*duration),
        None => 0,
    };
    let at = at.map(|at| match at {
        AtModifier::Start => At::Start,
        AtModifier::End => At::End,
        AtModifier::At(time) => At::Time(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        }),
    });
    Shift { offset, at }
}

fn selector(parsed: &VectorSelector) -> Result<Selector, Error> {
    let mut all = matchers(&parsed.matchers)?;
    if let Some(name) = &parsed.name {
        all.insert(0, Matcher::equal(NAME, name.clone()));
    }
    Ok(Selector { matchers: all, shift: shift(parsed.offset.as_ref(), parsed.at.as_ref()) })
}

fn matchers(parsed: &Matchers) -> Result<Vec<Matcher>, Error> {
    if !parsed.or_matchers.is_empty() {
        return Err(Error::bad_data("matchers cannot be combined with or"));
    }
    let one = |matcher: &promql_parser::label::Matcher| {
        let regex = |negated| {
            Matcher::regex(matcher.name.clone(), &matcher.value, negated).map_err(|error| {
                Error::bad_data(format!("{}: this is no regular expression: {error}", matcher.value))
            })
        };
        match &matcher.op {
            MatchOp::Equal => Ok(Matcher::equal(matcher.name.clone(), matcher.value.clone())),
            MatchOp::NotEqual => Ok(Matcher {
                name: matcher.name.clone(),
                op: crate::matcher::Op::NotEqual(matcher.value.clone()),
            }),
            MatchOp::Re(_) => regex(false),
            MatchOp::NotRe(_) => regex(true),
        }
    };
    parsed.matchers.iter().map(one).collect()
}

fn matching(modifier: Option<&BinModifier>) -> Matching {
    let (on, labels) = match modifier.and_then(|modifier| modifier.matching.as_ref()) {
        Some(LabelModifier::Include(labels)) => (true, labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => (false, labels.labels.clone()),
        None => (false, Vec::new()),
    };
    let (cardinality, include) = match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(labels)) => (Cardinality::ManyToOne, labels.labels.clone()),
        Some(VectorMatchCardinality::OneToMany(labels)) => (Cardinality::OneToMany, labels.labels.clone()),
        _ => (Cardinality::OneToOne, Vec::new()),
    };
    let fill = |side: fn(&BinModifier) -> Option<f64>| modifier.and_then(side);
    Matching {
        on,
        labels,
        cardinality,
        include,
        fill_lhs: fill(|modifier| modifier.fill_values.lhs),
        fill_rhs: fill(|modifier| modifier.fill_values.rhs),
    }
}

fn aggregate_op(op: TokenType) -> Result<AggregateOp, Error> {
    use AggregateOp::*;
    Ok(match op.id() {
        token::T_SUM => Sum,
        token::T_AVG => Avg,
        token::T_COUNT => Count,
        token::T_MIN => Min,
        token::T_MAX => Max,
        token::T_GROUP => Group,
        token::T_STDDEV => Stddev,
        token::T_STDVAR => Stdvar,
        token::T_TOPK => Topk,
        token::T_BOTTOMK => Bottomk,
        token::T_COUNT_VALUES => CountValues,
        token::T_QUANTILE => Quantile,
        token::T_LIMITK => Limitk,
        token::T_LIMIT_RATIO => LimitRatio,
        _ => return Err(Error::bad_data(format!("{op}: no such aggregation"))),
    })
}

fn binary_op(op: TokenType) -> Result<BinaryOp, Error> {
    use BinaryOp::*;
    Ok(match op.id() {
        token::T_ADD => Add,
        token::T_SUB => Sub,
        token::T_MUL => Mul,
        token::T_DIV => Div,
        token::T_MOD => Mod,
        token::T_POW => Pow,
        token::T_ATAN2 => Atan2,
        token::T_EQLC => Equal,
        token::T_NEQ => NotEqual,
        token::T_GTR => Greater,
        token::T_LSS => Less,
        token::T_GTE => GreaterOrEqual,
        token::T_LTE => LessOrEqual,
        token::T_LAND => And,
        token::T_LOR => Or,
        token::T_LUNLESS => Unless,
        _ => return Err(Error::bad_data(format!("{op}: no such operator"))),
    })
}
