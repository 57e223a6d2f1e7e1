//! Arguments, one after the other.

use crate::promql::Error;
use crate::promql::value::{RangeVector, Row, Val};

/// The arguments of a call that were not taken yet.
pub struct Args<'a> {
    function: &'a str,
    left: std::vec::IntoIter<Val>,
}

impl<'a> Args<'a> {
    pub fn new(function: &'a str, args: Vec<Val>) -> Self {
        Self { function, left: args.into_iter() }
    }

    pub fn is_empty(&self) -> bool {
        self.left.len() == 0
    }

    pub fn vector(&mut self) -> Result<Vec<Row>, Error> {
        match self.left.next() {
            Some(Val::Vector(rows)) => Ok(rows),
            other => Err(self.unexpected("instant vector", other.as_ref())),
        }
    }

    /// A number for each step.
    pub fn scalar(&mut self) -> Result<Vec<f64>, Error> {
        match self.left.next() {
            Some(Val::Scalar(values)) => Ok(values),
            other => Err(self.unexpected("scalar", other.as_ref())),
        }
    }

    pub fn string(&mut self) -> Result<String, Error> {
        match self.left.next() {
            Some(Val::String(text)) => Ok(text),
            other => Err(self.unexpected("string", other.as_ref())),
        }
    }

    /// All that are left.
    pub fn strings(&mut self) -> Result<Vec<String>, Error> {
        let mut all = Vec::with_capacity(self.left.len());
        while !self.is_empty() {
            all.push(self.string()?);
        }
        Ok(all)
    }

    pub fn range(&mut self) -> Result<RangeVector, Error> {
        match self.left.next() {
            Some(Val::Range(vector)) => Ok(vector),
            other => Err(self.unexpected("range vector", other.as_ref())),
        }
    }

    fn unexpected(&self, wanted: &str, got: Option<&Val>) -> Error {
        let got = match got {
            None => return Error::bad_data(format!("{} lacks an argument: {wanted}", self.function)),
            Some(Val::Scalar(_)) => "scalar",
            Some(Val::String(_)) => "string",
            Some(Val::Vector(_)) => "instant vector",
            Some(Val::Range(_)) => "range vector",
        };
        let function = self.function;
        Error::bad_data(format!("expected type {wanted} in call to function {function:?}, got {got}"))
    }
}
