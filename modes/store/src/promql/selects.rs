//! What a query asks of a source.

use super::Error;
use super::ast::{BinaryOp, Node};
use super::parse::{self, Times};
use crate::matcher::Matcher;

/// The selectors of a query: of each its matchers, one for the name included.
///
/// # Errors
///
/// When it is no query.
pub fn selects(query: &str) -> Result<Vec<Vec<Matcher>>, Error> {
    parse::with_room(|| {
        let mut found = Vec::new();
        visit(&parse::query(query, Times::default())?, &mut found);
        Ok(found)
    })
}

fn visit(node: &Node, found: &mut Vec<Vec<Matcher>>) {
    match node {
        Node::Number(_) | Node::String(_) => {}
        Node::Selector(selector) | Node::Range(selector, _) => found.push(selector.matchers.clone()),
        Node::Subquery(subquery) => visit(&subquery.inner, found),
        Node::Call(call) => call.args.iter().for_each(|node| visit(node, found)),
        Node::Aggregate(aggregate) => {
            visit(&aggregate.inner, found);
            aggregate.param.iter().for_each(|node| visit(node, found));
        }
        Node::Binary(binary) => {
            visit(&binary.lhs, found);
            visit(&binary.rhs, found);
        }
        Node::Negate(node) | Node::Paren(node) => visit(node, found),
    }
}

/// [`missing`] of each query, in their order, on one thread with a large stack.
pub fn missing_each(
    queries: &[String],
    there: &mut (dyn FnMut(&[Matcher]) -> bool + Send),
) -> Vec<Result<Option<Vec<Matcher>>, Error>> {
    let all = parse::with_room(|| Ok(queries.iter().map(|query| missing(query, there)).collect()));
    all.unwrap_or_else(|error| vec![Err(error); queries.len()])
}

/// The matchers of a selector for want of which a query can give nothing, if `there` says of so many that nothing
/// is selected. What `or` has on its other side does instead, and what `unless` takes away may be missing. Wants a
/// thread with a large stack.
///
/// # Errors
///
/// When it is no query.
pub fn missing(
    query: &str,
    there: &mut dyn FnMut(&[Matcher]) -> bool,
) -> Result<Option<Vec<Matcher>>, Error> {
    Ok(wanting(&parse::query(query, Times::default())?, there))
}

fn wanting(node: &Node, there: &mut dyn FnMut(&[Matcher]) -> bool) -> Option<Vec<Matcher>> {
    match node {
        Node::Number(_) | Node::String(_) => None,
        Node::Selector(selector) | Node::Range(selector, _) => {
            (!there(&selector.matchers)).then(|| selector.matchers.clone())
        }
        Node::Subquery(subquery) => wanting(&subquery.inner, there),
        Node::Call(call) if matches!(call.function, "absent" | "absent_over_time") => None,
        Node::Call(call) => call.args.iter().find_map(|node| wanting(node, there)),
        Node::Aggregate(aggregate) => {
            let param = aggregate.param.as_ref().and_then(|node| wanting(node, there));
            param.or_else(|| wanting(&aggregate.inner, there))
        }
        Node::Binary(binary) => match (wanting(&binary.lhs, there), binary.op) {
            (None, BinaryOp::Or | BinaryOp::Unless) => None,
            (Some(left), BinaryOp::Or) => wanting(&binary.rhs, there).map(|_| left),
            (Some(left), _) => Some(left),
            (None, _) => wanting(&binary.rhs, there),
        },
        Node::Negate(node) | Node::Paren(node) => wanting(node, there),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_selectors_are_found() {
        let found =
            selects("sum(rate(a{x=\"1\"}[5s])) / -(b) + topk(scalar(c), max_over_time(d[1m:1s]))").unwrap();
        let names: Vec<_> = found.iter().map(|matchers| matchers[0].value()).collect();
        assert_eq!(names, ["a", "b", "d", "c"]);
        assert!(selects("a +").is_err());
    }

    #[test]
    fn what_is_wanting_is_what_nothing_stands_in_for() {
        let wanting = |query: &str| {
            let there = &mut |matchers: &[Matcher]| matchers[0].value() == "a";
            missing(query, there).unwrap().map(|matchers| matchers[0].value().to_string())
        };
        for query in ["a", "a or b", "b or a", "a unless b", "absent(b)", "topk(2, -(a))", "1"] {
            assert_eq!(wanting(query), None, "{query}");
        }
        for query in [
            "b",
            "a and b",
            "b unless a",
            "b or c",
            "a / sum(rate(b[5s]))",
            "(a or b) > b",
            "max_over_time(b[1m:1s])",
        ] {
            assert_eq!(wanting(query).as_deref(), Some("b"), "{query}");
        }
        assert!(missing("a +", &mut |_| true).is_err());
    }
}
