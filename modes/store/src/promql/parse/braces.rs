//! Selectors, and lists of labels.

use super::lex::Kind;
use super::{Parsed, Parser, Type, literal};
use crate::labels::NAME;
use crate::matcher::Matcher;
use crate::promql::Error;
use crate::promql::ast::{Node, Selector, Shift, is_label_name};

impl Parser<'_> {
    /// A selector that begins with a name or a brace.
    pub(super) fn selector(&mut self) -> Result<Parsed, Error> {
        let start = self.token().start;
        let mut name = if self.is("{") { None } else { Some(self.next().text.to_owned()) };
        let mut matchers = Vec::new();
        if self.is("{") {
            matchers = self.matchers(&mut name)?;
        }
        let range = start..self.end();
        match &name {
            Some(name) => {
                if let Some(other) = matchers.iter().find(|matcher| matcher.name == NAME) {
                    let (name, value) = (literal::quoted(name), literal::quoted(other.value()));
                    let why = format!("metric name must not be set twice: {name} or {value}");
                    self.complain(range.clone(), why);
                }
                matchers.insert(0, Matcher::equal(NAME, name.clone()));
            }
            // Of `info()` this is asked when its arguments are known.
            None if matchers.iter().all(|matcher| matcher.matches("")) && !self.empty_selector => {
                self.complain(range.clone(), "vector selector must contain at least one non-empty matcher");
            }
            None => {}
        }
        let selector = Selector { matchers, shift: Shift::default(), extension: None };
        Ok(Parsed { node: Node::Selector(selector), kind: Type::Vector, range })
    }

    /// What is in braces; a string alone is the metric's name.
    fn matchers(&mut self, name: &mut Option<String>) -> Result<Vec<Matcher>, Error> {
        const CONTEXT: &str = "label matching";
        let open = self.next().start;
        let mut all = Vec::new();
        while !self.accept("}") {
            let label = self.token().clone();
            let unquoted = match label.kind {
                Kind::Identifier => label.text.to_owned(),
                Kind::String => literal::string(label.text),
                _ => return Err(self.unexpected_in(CONTEXT, "identifier or \"}\"")),
            };
            self.next();
            let alone = label.kind == Kind::String && (self.is(",") || self.is("}"));
            if alone {
                if let Some(known) = name.replace(unquoted.clone()) {
                    let (known, name) = (literal::quoted(&known), literal::quoted(&unquoted));
                    let why = format!("metric name must not be set twice: {known} or {name}");
                    return Err(self.error(open..label.range().end, why));
                }
            } else {
                all.push(self.matcher(&unquoted, label.start)?);
            }
            if !self.accept(",") && !self.is("}") {
                return Err(self.unexpected_in(CONTEXT, "\",\" or \"}\""));
            }
        }
        Ok(all)
    }

    /// The operator and value of a matcher.
    fn matcher(&mut self, label: &str, start: usize) -> Result<Matcher, Error> {
        const CONTEXT: &str = "label matching";
        if !["=", "!=", "=~", "!~"].contains(&self.token().text) || self.token().kind == Kind::String {
            return Err(self.unexpected_in(CONTEXT, "label matching operator"));
        }
        let op = self.next().text;
        if self.token().kind != Kind::String {
            return Err(self.unexpected_in(CONTEXT, "string"));
        }
        let value = literal::string(self.next().text);
        match op {
            "=" => Ok(Matcher::equal(label, value)),
            "!=" => Ok(Matcher::not_equal(label, value)),
            _ => Matcher::regex(label, &value, op == "!~").map_err(|why| self.error(start..self.end(), &why)),
        }
    }

    /// Labels in parentheses.
    pub(super) fn grouping(&mut self) -> Result<Vec<String>, Error> {
        const CONTEXT: &str = "grouping opts";
        if !self.accept("(") {
            return Err(self.unexpected_in(CONTEXT, "\"(\""));
        }
        let mut all = Vec::new();
        while !self.accept(")") {
            let token = self.token().clone();
            let label = match token.kind {
                Kind::String => literal::string(token.text),
                Kind::Identifier | Kind::Keyword | Kind::Aggregation => token.text.to_owned(),
                // The words among them.
                Kind::Operator | Kind::Mark if token.text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    token.text.to_owned()
                }
                _ => return Err(self.unexpected_in(CONTEXT, "label")),
            };
            if !is_label_name(&label) {
                let why = format!("invalid label name for grouping: {}", literal::quoted(&label));
                return Err(self.error(token.range(), why));
            }
            self.next();
            all.push(label);
            if !self.accept(",") && !self.is(")") {
                return Err(self.unexpected_in(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(all)
    }
}
