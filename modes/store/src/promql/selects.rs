//! What a query asks of a source.

use super::Error;
use super::ast::{BinaryOp, Node};
use super::parse::{self, Times};
use crate::matcher::Matcher;

/// The selectors of a query.
#[derive(Clone, Debug, Default)]
pub struct Selects {
    /// Of each its matchers, one for the name included.
    pub selectors: Vec<Vec<Matcher>>,
    /// Whether something else may stand where one of them selects nothing: `or`, `absent()`.
    pub alternatives: bool,
}

/// What a query selects.
///
/// # Errors
///
/// When it is no query.
pub fn selects(query: &str) -> Result<Selects, Error> {
    let node = parse::query(query, Times::default())?;
    let mut found = Selects::default();
    found.visit(&node);
    Ok(found)
}

impl Selects {
    fn visit(&mut self, node: &Node) {
        match node {
            Node::Number(_) | Node::String(_) => {}
            Node::Selector(selector) | Node::Range(selector, _) => {
                self.selectors.push(selector.matchers.clone());
            }
            Node::Subquery(subquery) => self.visit(&subquery.inner),
            Node::Call(call) => {
                self.alternatives |=
                    matches!(call.function, "absent" | "absent_over_time" | "vector" | "time");
                call.args.iter().for_each(|node| self.visit(node));
            }
            Node::Aggregate(aggregate) => {
                self.visit(&aggregate.inner);
                aggregate.param.iter().for_each(|node| self.visit(node));
            }
            Node::Binary(binary) => {
                self.alternatives |= matches!(binary.op, BinaryOp::Or | BinaryOp::Unless);
                self.visit(&binary.lhs);
                self.visit(&binary.rhs);
            }
            Node::Negate(node) | Node::Paren(node) => self.visit(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_selectors_are_found() {
        let found =
            selects("sum(rate(a{x=\"1\"}[5s])) / -(b) + topk(scalar(c), max_over_time(d[1m:1s]))").unwrap();
        let names: Vec<_> = found.selectors.iter().map(|matchers| matchers[0].value()).collect();
        assert_eq!(names, ["a", "b", "d", "c"]);
        assert!(!found.alternatives);
        assert!(selects("a or b").unwrap().alternatives);
        assert!(selects("a +").is_err());
    }
}
