//! Operands: literals, calls, aggregations, and what is in parentheses.

use std::ops::Range;

use super::functions::{self, Function};
use super::lex::{Kind, Token};
use super::{Parsed, Parser, Type, literal};
use crate::labels::NAME;
use crate::promql::Error;
use crate::promql::ast::{Aggregate, AggregateOp, Call, Node};
use crate::promql::place::Place;

impl Parser<'_> {
    /// What no operator is needed for.
    pub(super) fn primary(&mut self) -> Result<Parsed, Error> {
        let token = self.token();
        let calls = self.after().is_some_and(|after| after.is("("));
        let word = token.text.starts_with(|c: char| c.is_ascii_alphabetic());
        match token.kind {
            Kind::Number | Kind::Duration | Kind::String => self.literal(),
            Kind::Mark if token.text == "(" => self.parenthesized(),
            Kind::Mark if token.text == "{" => self.selector(),
            Kind::Identifier if calls => self.call(),
            // `start()` and its like.
            Kind::Mark if calls && word => self.call(),
            Kind::Aggregation if calls || self.grouping_follows() => self.aggregation(),
            _ if is_metric(token) => self.selector(),
            _ => Err(self.unexpected()),
        }
    }

    fn literal(&mut self) -> Result<Parsed, Error> {
        let token = self.token().clone();
        let range = token.range();
        let (node, kind) = match token.kind {
            Kind::Number => (Node::Number(self.number()?), Type::Scalar),
            Kind::String => (Node::String(literal::string(token.text)), Type::String),
            // As a number, seconds.
            _ => {
                let millis = literal::duration(token.text).map_err(|why| self.error(range.clone(), why))?;
                (Node::Number(millis as f64 / 1e3), Type::Scalar)
            }
        };
        self.at += usize::from(token.kind != Kind::Number);
        Ok(Parsed { node, kind, range })
    }

    fn grouping_follows(&self) -> bool {
        self.after().is_some_and(|after| after.is("by") || after.is("without"))
    }

    fn parenthesized(&mut self) -> Result<Parsed, Error> {
        let start = self.next().start;
        let inner = self.expression(0)?;
        self.expect(")")?;
        Ok(Parsed { node: Node::Paren(Box::new(inner.node)), kind: inner.kind, range: start..self.end() })
    }

    /// Arguments in parentheses.
    fn arguments(&mut self) -> Result<Vec<Parsed>, Error> {
        self.expect("(")?;
        let mut all = Vec::new();
        if self.accept(")") {
            return Ok(all);
        }
        loop {
            all.push(self.expression(0)?);
            if self.accept(")") {
                return Ok(all);
            }
            let comma = self.token().range();
            self.expect(",")?;
            if self.is(")") {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn call(&mut self) -> Result<Parsed, Error> {
        let name = self.next();
        let known = functions::named(name.text);
        // What is wrong with the number of arguments is said before what is with them.
        let before = self.complaint.take();
        let outer = std::mem::replace(
            &mut self.empty_selector,
            known.as_ref().is_some_and(|function| function.name == "info"),
        );
        let arguments = self.arguments()?;
        self.empty_selector = outer;
        let Some(function) = known else {
            let why = format!("unknown function with name {}", literal::quoted(name.text));
            return Err(self.error(name.range(), why));
        };
        Ok(self.called(&name, &function, arguments, before))
    }

    fn called(
        &mut self,
        name: &Token<'_>,
        function: &Function,
        arguments: Vec<Parsed>,
        before: Option<Error>,
    ) -> Parsed {
        let range = name.start..self.end();
        let within = std::mem::replace(&mut self.complaint, before);
        self.count(function, arguments.len(), range.clone());
        if self.complaint.is_none() {
            self.complaint = within;
        }
        for (at, argument) in arguments.iter().enumerate() {
            let Some(wanted) = function.takes.get(at).or(function.takes.last()) else { break };
            let context = format!("call to function \"{}\"", function.name);
            self.expect_type(argument, *wanted, &context);
        }
        if function.name == "info" {
            self.info(&arguments);
        }
        let place = Some(Place::of(self.query, range.start));
        let arg_places = arguments.iter().map(|arg| Place::of(self.query, arg.range.start)).collect();
        let args = arguments.into_iter().map(|argument| argument.node).collect();
        let node = Node::Call(Call { function: function.name, args, place, arg_places });
        Parsed { node, kind: function.yields, range }
    }

    fn count(&mut self, function: &Function, got: usize, range: Range<usize>) {
        let Function { name, least, most, .. } = function;
        let expected = if least == most {
            format!("{least}")
        } else if got < *least {
            format!("at least {least}")
        } else {
            format!("at most {most}")
        };
        if !(*least..=*most).contains(&got) {
            self.complain(range, format!("expected {expected} argument(s) in call to \"{name}\", got {got}"));
        }
    }

    fn expect_type(&mut self, parsed: &Parsed, wanted: Type, context: &str) {
        if parsed.kind != wanted {
            let (wanted, got) = (wanted.name(), parsed.kind.name());
            self.complain(parsed.range.clone(), format!("expected type {wanted} in {context}, got {got}"));
        }
    }

    /// The second argument of `info()` says which labels, of which metrics.
    fn info(&mut self, arguments: &[Parsed]) {
        if let [Parsed { node: Node::Selector(first), range, .. }, ..] = arguments
            && first.matchers.iter().all(|matcher| matcher.matches(""))
        {
            self.complain(range.clone(), "vector selector must contain at least one non-empty matcher");
        }
        let [_, labels, ..] = arguments else { return };
        let text = &self.query[labels.range.clone()];
        match &labels.node {
            Node::Selector(_) if text.starts_with('{') => {}
            Node::Selector(selector) if selector.matchers.iter().any(|matcher| matcher.name == NAME) => {
                let why = "expected label selectors only, got vector selector instead";
                self.complain(labels.range.clone(), why);
            }
            _ => self.complain(labels.range.clone(), "expected label selectors only"),
        }
    }

    fn aggregation(&mut self) -> Result<Parsed, Error> {
        let name = self.next();
        let op = aggregate_op(name.text);
        self.aggregations += 1;
        let mut grouping = self.aggregation_labels()?;
        let arguments = self.arguments()?;
        self.aggregations -= 1;
        if grouping.is_none() {
            grouping = self.aggregation_labels()?;
        }
        self.aggregated(&name, op, grouping.unwrap_or_default(), arguments)
    }

    fn aggregated(
        &mut self,
        name: &Token<'_>,
        op: AggregateOp,
        (grouping, without): (Vec<String>, bool),
        mut arguments: Vec<Parsed>,
    ) -> Result<Parsed, Error> {
        let range = name.start..self.end();
        let wanted = 1 + usize::from(op.has_param());
        if arguments.is_empty() {
            return Err(self.error(range, "no arguments for aggregate expression provided"));
        }
        let got = arguments.len();
        let Some(inner) = arguments.pop().filter(|_| got == wanted) else {
            return Err(self.error(
                range,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"
                ),
            ));
        };
        self.expect_type(&inner, Type::Vector, "aggregation expression");
        let param = arguments.pop();
        if let Some(param) = &param {
            let wanted = if op == AggregateOp::CountValues { Type::String } else { Type::Scalar };
            self.expect_type(param, wanted, "aggregation parameter");
        }
        let place = |parsed: &Parsed| Place::of(self.query, parsed.range.start);
        let (inner_place, param_place) = (Some(place(&inner)), param.as_ref().map(place));
        let (inner, param) = (inner.node, param.map(|param| param.node));
        let node = Aggregate { op, inner, param, grouping, without, inner_place, param_place };
        Ok(Parsed { node: Node::Aggregate(Box::new(node)), kind: Type::Vector, range })
    }

    /// `by` or `without`, if there is one; and whether it is `without`.
    fn aggregation_labels(&mut self) -> Result<Option<(Vec<String>, bool)>, Error> {
        let without = self.is("without");
        if !without && !self.is("by") {
            return Ok(None);
        }
        self.next();
        Ok(Some((self.grouping()?, without)))
    }
}

/// Whether it can be the name of a metric, as some keywords can.
fn is_metric(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregation => true,
        Kind::Operator => ["and", "or", "unless"].iter().any(|word| token.is(word)),
        Kind::Mark => token.text.starts_with(|c: char| c.is_ascii_alphabetic()),
        Kind::Keyword => {
            !["on", "ignoring", "group_left", "group_right", "bool"].iter().any(|word| token.is(word))
        }
        _ => false,
    }
}

fn aggregate_op(name: &str) -> AggregateOp {
    use AggregateOp::*;
    match name.to_ascii_lowercase().as_str() {
        "sum" => Sum,
        "avg" => Avg,
        "count" => Count,
        "min" => Min,
        "max" => Max,
        "stddev" => Stddev,
        "stdvar" => Stdvar,
        "topk" => Topk,
        "bottomk" => Bottomk,
        "count_values" => CountValues,
        "quantile" => Quantile,
        "limitk" => Limitk,
        "limit_ratio" => LimitRatio,
        _ => Group,
    }
}
