//! Expressions: operators, and what follows an operand.

use std::ops::Range;

use super::lex::Kind;
use super::{MOST_DEPTH, Parsed, Parser, Type, literal, too_deep};
use crate::promql::Error;
use crate::promql::ast::{At, Binary, BinaryOp, Cardinality, Extension, Matching, Node, Shift};
use crate::promql::place::Place;

/// Of operators that bind tighter than all but `^`.
const TIGHT: u8 = 4;

/// An operator, how tight it binds, and whether from the right.
fn operator(text: &str) -> Option<(BinaryOp, u8, bool)> {
    use BinaryOp::*;
    Some(match text.to_ascii_lowercase().as_str() {
        "or" => (Or, 0, false),
        "and" => (And, 1, false),
        "unless" => (Unless, 1, false),
        "==" => (Equal, 2, false),
        "!=" => (NotEqual, 2, false),
        ">" => (Greater, 2, false),
        "<" => (Less, 2, false),
        ">=" => (GreaterOrEqual, 2, false),
        "<=" => (LessOrEqual, 2, false),
        "</" => (TrimUpper, 2, false),
        ">/" => (TrimLower, 2, false),
        "+" => (Add, 3, false),
        "-" => (Sub, 3, false),
        "*" => (Mul, TIGHT, false),
        "/" => (Div, TIGHT, false),
        "%" => (Mod, TIGHT, false),
        "atan2" => (Atan2, TIGHT, false),
        "^" => (Pow, TIGHT + 1, true),
        _ => return None,
    })
}

/// What stands behind an operator.
struct Modifiers {
    return_bool: bool,
    matching: Matching,
    /// Where the operator is.
    range: Range<usize>,
}

impl Parser<'_> {
    /// An expression of operators that bind at least so tight.
    pub(super) fn expression(&mut self, least: u8) -> Result<Parsed, Error> {
        self.depth += 1;
        if self.depth > MOST_DEPTH + 1 {
            return Err(too_deep(self.query, self.token().range()));
        }
        let lhs = self.operand()?;
        let all = self.operators(lhs, least);
        self.depth -= 1;
        all
    }

    /// The operators behind an operand. Apart from it, so that what is nested in
    /// operands takes less of the stack.
    fn operators(&mut self, mut lhs: Parsed, least: u8) -> Result<Parsed, Error> {
        while self.token().kind == Kind::Operator {
            let Some((op, tight, from_right)) = operator(self.token().text) else { break };
            if tight < least {
                break;
            }
            let range = self.next().range();
            let modifiers = self.operator_modifiers(range)?;
            let rhs = self.expression(if from_right { tight } else { tight + 1 })?;
            lhs = self.binary(op, lhs, modifiers, rhs);
        }
        Ok(lhs)
    }

    /// Something with signs before it, or what follows it.
    fn operand(&mut self) -> Result<Parsed, Error> {
        if !(self.is("-") || self.is("+")) {
            let inner = self.primary()?;
            return self.followed(inner);
        }
        let sign = self.next();
        let inner = self.expression(TIGHT + 1)?;
        Ok(self.signed(sign.start, sign.text == "-", inner))
    }

    fn signed(&mut self, start: usize, minus: bool, inner: Parsed) -> Parsed {
        let range = start..inner.range.end;
        if !matches!(inner.kind, Type::Scalar | Type::Vector) {
            let name = inner.kind.name();
            self.complain(
                range.clone(),
                format!("unary expression only allowed on expressions of type scalar or instant vector, got \"{name}\""),
            );
        }
        let node = match inner.node {
            Node::Number(number) if minus => Node::Number(-number),
            node if minus => Node::Negate(Box::new(node)),
            node => node,
        };
        Parsed { node, kind: inner.kind, range }
    }

    /// `bool`, `on`, `group_left`, `fill` and their like.
    fn operator_modifiers(&mut self, range: Range<usize>) -> Result<Modifiers, Error> {
        let return_bool = self.accept("bool");
        let mut matching = Matching {
            on: false,
            labels: Vec::new(),
            cardinality: Cardinality::OneToOne,
            include: Vec::new(),
            fill_lhs: None,
            fill_rhs: None,
        };
        if self.is("on") || self.is("ignoring") {
            matching.on = self.next().text.eq_ignore_ascii_case("on");
            matching.labels = self.grouping()?;
            if self.is("group_left") || self.is("group_right") {
                let left = self.next().text.eq_ignore_ascii_case("group_left");
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.is("(") || !self.begins_operand() {
                    matching.include = self.grouping()?;
                }
            }
        }
        self.fill(&mut matching)?;
        Ok(Modifiers { return_bool, matching, range })
    }

    /// Whether an operand, or `fill` and what follows it, may begin here.
    fn begins_operand(&self) -> bool {
        let token = self.token();
        let word = token.text.starts_with(|c: char| c.is_ascii_alphabetic());
        match token.kind {
            Kind::End | Kind::Bad(_) => false,
            Kind::Operator => word || token.is("+") || token.is("-"),
            Kind::Mark => word || token.is("{"),
            _ => true,
        }
    }

    fn fill(&mut self, matching: &mut Matching) -> Result<(), Error> {
        if self.accept("fill") {
            let value = self.fill_value()?;
            (matching.fill_lhs, matching.fill_rhs) = (Some(value), Some(value));
            return Ok(());
        }
        loop {
            if matching.fill_lhs.is_none() && self.accept("fill_left") {
                matching.fill_lhs = Some(self.fill_value()?);
            } else if matching.fill_rhs.is_none() && self.accept("fill_right") {
                matching.fill_rhs = Some(self.fill_value()?);
            } else {
                return Ok(());
            }
        }
    }

    fn fill_value(&mut self) -> Result<f64, Error> {
        self.expect("(")?;
        let value = self.signed_number()?.ok_or_else(|| self.unexpected())?;
        self.expect(")")?;
        Ok(value)
    }

    /// A number with or without a sign, if there is one.
    fn signed_number(&mut self) -> Result<Option<f64>, Error> {
        let negative = self.is("-");
        if negative || self.is("+") {
            if self.after().is_none_or(|token| token.kind != Kind::Number) {
                self.next();
                return Ok(None);
            }
            self.next();
        }
        if self.token().kind != Kind::Number {
            return Ok(None);
        }
        let value = self.number()?;
        Ok(Some(if negative { -value } else { value }))
    }

    /// Passes a number.
    pub(super) fn number(&mut self) -> Result<f64, Error> {
        let token = self.next();
        literal::number(token.text).map_err(|why| self.error(token.range(), why))
    }

    /// Both sides put together; sees to it that they may be.
    fn binary(&mut self, op: BinaryOp, lhs: Parsed, modifiers: Modifiers, rhs: Parsed) -> Parsed {
        let Modifiers { return_bool, matching, range: at } = modifiers;
        let range = lhs.range.start..rhs.range.end;
        let scalars = [lhs.kind, rhs.kind].map(|kind| kind == Type::Scalar);
        if return_bool && !op.is_comparison() {
            self.complain(at.clone(), "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !return_bool && scalars == [true, true] {
            self.complain(at.clone(), "comparisons between scalars must use BOOL modifier");
        }
        if op.is_trim() && lhs.kind == Type::Scalar {
            let why = format!("the left side of \"{}\" has to be histograms", op.symbol());
            self.complain(at.clone(), why);
        }
        if matching.on
            && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
        {
            let label = literal::quoted(label);
            self.complain(at, format!("label {label} must not occur in ON and GROUP clause at once"));
        }
        for side in [&lhs, &rhs] {
            if !matches!(side.kind, Type::Scalar | Type::Vector) {
                self.complain(
                    side.range.clone(),
                    "binary expression must contain only scalar and instant vector types",
                );
            }
        }
        let fills = matching.fill_lhs.is_some() || matching.fill_rhs.is_some();
        let symbol = op.symbol();
        if lhs.kind != Type::Vector || rhs.kind != Type::Vector {
            if !matching.labels.is_empty() {
                self.complain(range.clone(), "vector matching only allowed between instant vectors");
            }
            if fills {
                let why = "filling in missing series only allowed between instant vectors";
                self.complain(range.clone(), why);
            }
        } else if op.is_set() {
            if matching.cardinality != Cardinality::OneToOne {
                self.complain(range.clone(), format!("no grouping allowed for \"{symbol}\" operation"));
            }
            if fills {
                let why = "filling in missing series not allowed for set operators";
                self.complain(range.clone(), why);
            }
        }
        if op.is_set() && scalars.contains(&true) {
            let why = format!("set operator \"{symbol}\" not allowed in binary scalar expression");
            self.complain(range.clone(), why);
        }
        let place = Some(Place::of(self.query, range.start));
        let kind = if scalars == [true, true] { Type::Scalar } else { Type::Vector };
        let (lhs, rhs) = (lhs.node, rhs.node);
        let node = Node::Binary(Box::new(Binary { op, lhs, rhs, return_bool, matching, place }));
        Parsed { node, kind, range }
    }

    /// An operand with the ranges, offsets and times behind it.
    fn followed(&mut self, mut inner: Parsed) -> Result<Parsed, Error> {
        loop {
            inner = if self.is("[") {
                self.brackets(inner)?
            } else if self.is("offset") {
                self.offset(inner)?
            } else if self.is("@") {
                self.at_time(inner)?
            } else if self.is("anchored") || self.is("smoothed") {
                self.extended(inner)?
            } else {
                return Ok(inner);
            };
            inner.range.end = self.end();
        }
    }

    fn offset(&mut self, mut inner: Parsed) -> Result<Parsed, Error> {
        self.next();
        let offset = self.offset_length()?;
        // A subquery may have it once, and so may what is in it.
        let Some(shift) = shift(&mut inner.node) else {
            let why = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(inner.range, why));
        };
        if shift.offset != 0 {
            return Err(self.error(inner.range, "offset may not be set multiple times"));
        }
        shift.offset = offset;
        Ok(inner)
    }

    fn at_time(&mut self, mut inner: Parsed) -> Result<Parsed, Error> {
        self.next();
        let at = if self.is("start") || self.is("end") {
            let at = if self.next().text.eq_ignore_ascii_case("start") { At::Start } else { At::End };
            if !(self.accept("(") && self.accept(")")) {
                return Err(self.unexpected_in("@", "timestamp"));
            }
            at
        } else {
            let Some(seconds) = self.signed_number()? else {
                return Err(self.unexpected_in("@", "timestamp"));
            };
            let nanos = (seconds * 1e3).round() * 1e6;
            if nanos.is_nan() || nanos.abs() >= i64::MAX as f64 {
                let why = format!("timestamp out of bounds for @ modifier: {}", go_fixed(seconds));
                return Err(self.error(inner.range, why));
            }
            At::Time(time(seconds))
        };
        let Some(shift) = shift(&mut inner.node) else {
            let why = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(inner.range, why));
        };
        if shift.at.is_some() {
            return Err(self.error(inner.range, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(at);
        Ok(inner)
    }

    fn extended(&mut self, mut inner: Parsed) -> Result<Parsed, Error> {
        let token = self.next();
        let word = token.text.to_ascii_lowercase();
        let extension = if word == "anchored" { Extension::Anchored } else { Extension::Smoothed };
        let selector = match &mut inner.node {
            Node::Selector(selector) if extension == Extension::Smoothed => selector,
            Node::Range(selector, _) => selector,
            _ => {
                let what = if word == "anchored" {
                    "a matrix selector"
                } else {
                    "an instant vector selector or a matrix selector"
                };
                return Err(self.error(inner.range, format!("{word} modifier must be preceded by {what}")));
            }
        };
        if selector.extension.is_some() {
            return Err(
                self.error(inner.range, format!("{word} modifier cannot be combined with another one"))
            );
        }
        selector.extension = Some(extension);
        Ok(inner)
    }
}

/// A time in seconds as ns. Ms are exact.
fn time(seconds: f64) -> i64 {
    let whole = seconds.trunc();
    whole as i64 * 1_000_000_000 + ((seconds - whole) * 1e9).round() as i64
}

fn shift(node: &mut Node) -> Option<&mut Shift> {
    match node {
        Node::Selector(selector) | Node::Range(selector, _) => Some(&mut selector.shift),
        Node::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}

/// Go's `%f`.
fn go_fixed(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:.6}"),
    }
}
