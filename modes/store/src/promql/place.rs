//! Where the parts of a query stand in its text. `promql-parser` does not say, so
//! its tree is laid over the text once more.

use std::fmt;

use super::ast::{Node, Piece, scan};

/// Line and column, from 1; the column counts bytes, as Prometheus does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// Of a byte of a text.
    pub fn of(text: &str, at: usize) -> Self {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Self { line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Notes in a tree where its calls, aggregations and operators stand.
pub fn place(node: &mut Node, query: &str) {
    let mut tokens = Vec::new();
    let mut offset = 0;
    scan(query, |piece| {
        let (text, blank) = match piece {
            Piece::Word(text) => (text.to_string(), false),
            Piece::Opaque(text) => (text.to_string(), text.starts_with('#')),
            Piece::Other(c) => (c.to_string(), c.is_whitespace()),
        };
        let length = text.len();
        if !blank {
            tokens.push((offset, text));
        }
        offset += length;
    });
    // What does not fit is left without a place.
    let _ = Placer { query, tokens, at: 0 }.node(node);
}

struct Placer<'a> {
    query: &'a str,
    tokens: Vec<(usize, String)>,
    at: usize,
}

impl Placer<'_> {
    fn token(&self) -> &str {
        self.tokens.get(self.at).map_or("", |(_, text)| text)
    }

    fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.token().eq_ignore_ascii_case(word))
    }

    fn take(&mut self, token: &str) -> Option<()> {
        (self.token() == token).then(|| self.at += 1)
    }

    /// Passes brackets and what is between them.
    fn brackets(&mut self, open: &str, close: &str) -> Option<()> {
        self.take(open)?;
        let mut depth = 1;
        while depth > 0 {
            match self.token() {
                "" => return None,
                token if token == open => depth += 1,
                token if token == close => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    /// Passes a number or duration.
    fn number(&mut self) -> Option<()> {
        while self.is(&["+", "-"]) {
            self.at += 1;
        }
        let word = self.token().to_ascii_lowercase();
        self.at += 1;
        let exponent = word.ends_with('e')
            && !word.starts_with("0x")
            && word.starts_with(['.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        if exponent && self.is(&["+", "-"]) {
            self.at += 2;
        }
        Some(())
    }

    fn selector(&mut self) -> Option<()> {
        if self.token() != "{" {
            self.at += 1;
        }
        if self.token() == "{" {
            self.brackets("{", "}")?;
        }
        Some(())
    }

    /// Passes `offset` and `@`.
    fn modifiers(&mut self) -> Option<()> {
        loop {
            if self.is(&["offset"]) {
                self.at += 1;
                self.number()?;
            } else if self.take("@").is_some() {
                if self.is(&["start", "end"]) {
                    self.at += 1;
                    self.brackets("(", ")")?;
                } else {
                    self.number()?;
                }
            } else {
                return Some(());
            }
        }
    }

    fn grouping(&mut self) -> Option<()> {
        if self.is(&["by", "without"]) {
            self.at += 1;
            self.brackets("(", ")")?;
        }
        Some(())
    }

    /// Passes an operator and what belongs to it.
    fn operator(&mut self) -> Option<()> {
        self.at += 1;
        self.take("=");
        loop {
            if self.is(&["bool"]) {
                self.at += 1;
            } else if self.is(&[
                "on",
                "ignoring",
                "group_left",
                "group_right",
                "fill",
                "fill_left",
                "fill_right",
            ]) {
                self.at += 1;
                if self.token() == "(" {
                    self.brackets("(", ")")?;
                }
            } else {
                return Some(());
            }
        }
    }

    fn node(&mut self, node: &mut Node) -> Option<Place> {
        while self.token() == "+" {
            self.at += 1;
        }
        let start = Place::of(self.query, self.tokens.get(self.at)?.0);
        match node {
            Node::Number(_) => self.number()?,
            Node::String(_) => self.at += 1,
            Node::Paren(inner) => {
                self.take("(")?;
                self.node(inner)?;
                self.take(")")?;
            }
            Node::Negate(inner) => {
                self.take("-")?;
                self.node(inner)?;
            }
            Node::Selector(_) => {
                self.selector()?;
                self.modifiers()?;
            }
            Node::Range(..) => {
                self.selector()?;
                self.brackets("[", "]")?;
                self.modifiers()?;
            }
            Node::Subquery(subquery) => {
                self.node(&mut subquery.inner)?;
                self.brackets("[", "]")?;
                self.modifiers()?;
            }
            Node::Call(call) => {
                call.place = Some(start);
                self.at += 1;
                self.take("(")?;
                for arg in &mut call.args {
                    let place = self.node(arg)?;
                    call.arg_places.push(place);
                    self.take(",");
                }
                self.take(")")?;
            }
            Node::Aggregate(aggregate) => {
                self.at += 1;
                self.grouping()?;
                self.take("(")?;
                if let Some(param) = &mut aggregate.param {
                    aggregate.param_place = self.node(param);
                    self.take(",")?;
                }
                aggregate.inner_place = self.node(&mut aggregate.inner);
                self.take(",");
                self.take(")")?;
                self.grouping()?;
            }
            Node::Binary(binary) => {
                binary.place = Some(start);
                self.node(&mut binary.lhs)?;
                self.operator()?;
                self.node(&mut binary.rhs)?;
            }
        }
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ast::parse_query;
    use super::*;

    #[test]
    fn calls_are_found() {
        let query = "1 + sum by (a) (\n  rate(x{a=\"(\"}[5m] offset -1m) * on (b) group_left (c)\n  -topk(1e+3, sort(y[1h:1m] @ start())))";
        let Err(_) = parse_query(query) else { panic!("sort takes no range vector") };
        let query = "1 + sum by (a) (\n  rate(x{a=\"(\"}[5m] offset -1m) * on (b) group_left (c)\n  -topk(1e+3, sort(y)))";
        let Node::Binary(binary) = parse_query(query).unwrap() else { panic!() };
        let Node::Aggregate(sum) = &binary.rhs else { panic!() };
        let Node::Binary(product) = &sum.inner else { panic!() };
        assert_eq!(product.place, Some(Place { line: 2, column: 3 }));
        let Node::Call(rate) = &product.lhs else { panic!() };
        assert_eq!(rate.arg_places, [Place { line: 2, column: 8 }]);
        let Node::Negate(negated) = &product.rhs else { panic!() };
        let Node::Aggregate(topk) = &**negated else { panic!() };
        assert_eq!(topk.param_place, Some(Place { line: 3, column: 9 }));
        assert_eq!(topk.inner_place, Some(Place { line: 3, column: 15 }));
    }
}
