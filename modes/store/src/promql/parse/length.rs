//! Durations in brackets and offsets, which may be computed.

use std::ops::Range;

use super::lex::Kind;
use super::{Parsed, Parser, Type, literal};
use crate::promql::Error;
use crate::promql::ast::{Node, Subquery};

/// What may be in brackets.
const LENGTH: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// A range or subquery.
    pub(super) fn brackets(&mut self, inner: Parsed) -> Result<Parsed, Error> {
        let open = self.next().start;
        let range = self.length("subquery or range selector")?;
        if self.accept(":") {
            return self.subquery(inner, range);
        }
        if !self.accept("]") {
            return Err(self.unexpected_in("subquery or range", "\":\" or \"]\""));
        }
        let wrong = match inner.node {
            Node::Selector(selector) if selector.shift.offset != 0 => {
                "no offset modifiers allowed before range"
            }
            Node::Selector(selector) if selector.shift.at.is_some() => "no @ modifiers allowed before range",
            Node::Selector(selector) => {
                let node = Node::Range(selector, range);
                return Ok(Parsed { node, kind: Type::Range, range: inner.range });
            }
            _ => "ranges only allowed for vector selectors",
        };
        Err(self.error(open..self.end(), wrong))
    }

    fn subquery(&mut self, inner: Parsed, range: i64) -> Result<Parsed, Error> {
        let step = if self.is("]") { None } else { Some(self.length("subquery selector")?) };
        if !self.accept("]") {
            return Err(self.unexpected_in("subquery selector", "\"]\""));
        }
        if inner.kind != Type::Vector {
            let name = inner.kind.name();
            self.complain(
                inner.range.clone(),
                format!("subquery is only allowed on instant vector, got {name} instead"),
            );
        }
        let subquery = Subquery { inner: inner.node, range, step, shift: Default::default() };
        Ok(Parsed { node: Node::Subquery(Box::new(subquery)), kind: Type::Range, range: inner.range })
    }

    /// A duration of more than nothing, in ns.
    fn length(&mut self, context: &str) -> Result<i64, Error> {
        let start = self.token().start;
        let seconds = self.sum(context, 0)?;
        let range = start..self.end();
        if seconds <= 0.0 {
            self.complain(range.clone(), "duration must be greater than 0");
        }
        self.nanos(seconds, range)
    }

    /// A duration behind `offset`, in ns. One that is computed has to stand in
    /// parentheses.
    pub(super) fn offset_length(&mut self) -> Result<i64, Error> {
        let start = self.token().start;
        let seconds = self.factor("offset")?;
        self.nanos(seconds, start..self.end())
    }

    fn nanos(&mut self, seconds: f64, range: Range<usize>) -> Result<i64, Error> {
        if seconds.is_nan() || seconds.abs() * 1e9 >= i64::MAX as f64 / 4.0 {
            return Err(self.error(range, "duration out of range"));
        }
        // Prometheus counts in ms.
        Ok((seconds * 1e3).trunc() as i64 * 1_000_000)
    }

    /// Sums, products and powers, as of numbers; in seconds.
    fn sum(&mut self, context: &str, least: u8) -> Result<f64, Error> {
        let mut value = self.factor(context)?;
        loop {
            let token = self.token();
            let tight = match token.text {
                _ if token.kind != Kind::Operator => return Ok(value),
                "+" | "-" => 0,
                "*" | "/" | "%" => 1,
                "^" => 2,
                _ => return Ok(value),
            };
            if tight < least {
                return Ok(value);
            }
            let op = self.next();
            let other = self.sum(context, if op.text == "^" { tight } else { tight + 1 })?;
            if other == 0.0 && matches!(op.text, "/" | "%") {
                let what = if op.text == "/" { "division" } else { "modulo" };
                return Err(self.error(op.range(), format!("{what} by zero")));
            }
            value = match op.text {
                "+" => value + other,
                "-" => value - other,
                "*" => value * other,
                "/" => value / other,
                "%" => value % other,
                _ => value.powf(other),
            };
        }
    }

    /// A number, a duration, a call, or something in parentheses, with signs.
    fn factor(&mut self, context: &str) -> Result<f64, Error> {
        if self.is("-") || self.is("+") {
            let minus = self.next().text == "-";
            // As elsewhere a sign binds less than a power.
            let value = if context == "offset" { self.factor(context)? } else { self.sum(context, 2)? };
            return Ok(if minus { -value } else { value });
        }
        if self.accept("(") {
            let value = self.sum(context, 0)?;
            self.closing(context)?;
            return Ok(value);
        }
        let token = self.token().clone();
        match token.kind {
            Kind::Number => return self.number(),
            Kind::Duration => {
                self.next();
                let millis = literal::duration(token.text).map_err(|why| self.error(token.range(), why))?;
                return Ok(millis as f64 / 1e3);
            }
            Kind::Mark | Kind::Aggregation => {}
            _ => return Err(self.unexpected_in(context, LENGTH)),
        }
        let value = match token.text.to_ascii_lowercase().as_str() {
            "step" => Some(self.times.step),
            "range" => Some(self.times.range),
            "min" | "max" => None,
            _ => return Err(self.unexpected_in(context, LENGTH)),
        };
        self.next();
        if !self.accept("(") {
            return Err(self.unexpected_in(context, LENGTH));
        }
        let value = match value {
            Some(nanos) => nanos as f64 / 1e9,
            None => {
                let first = self.sum(context, 0)?;
                if !self.accept(",") {
                    return Err(self.unexpected_in(context, LENGTH));
                }
                let second = self.sum(context, 0)?;
                if token.text.eq_ignore_ascii_case("min") { first.min(second) } else { first.max(second) }
            }
        };
        self.closing(context)?;
        Ok(value)
    }

    fn closing(&mut self, context: &str) -> Result<(), Error> {
        if self.accept(")") { Ok(()) } else { Err(self.unexpected_in(context, LENGTH)) }
    }
}
