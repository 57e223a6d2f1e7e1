//! A source that can be another one from now on.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rezolus_store::promql::Error;
use rezolus_store::{Labels, Matcher, Metadata, Series, Source};

/// What the page asks, whichever inputs are open.
pub struct Exchange(RwLock<Arc<dyn Source>>);

impl Exchange {
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self(RwLock::new(source))
    }

    /// What is asked now. Who asks several times for one answer keeps it meanwhile.
    pub fn current(&self) -> Arc<dyn Source> {
        self.0.read().clone()
    }

    pub fn replace(&self, source: Arc<dyn Source>) {
        // Dropped after the lock is free: an agent's thread may have to end.
        let _before = std::mem::replace(&mut *self.0.write(), source);
    }
}

impl Source for Exchange {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.current().select(matchers, start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        self.current().series(matchers, start, end)
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        self.current().metadata()
    }

    fn seams(&self, start: i64, end: i64) -> Vec<i64> {
        self.current().seams(start, end)
    }

    fn remarks(&self) -> Vec<String> {
        self.current().remarks()
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.current().range()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rezolus_store::set::Set;

    #[test]
    fn who_has_one_keeps_it_when_it_is_replaced() {
        let first: Arc<dyn Source> = Arc::new(Set::new(Vec::new()));
        let exchange = Exchange::new(first.clone());
        let kept = exchange.current();
        exchange.replace(Arc::new(Set::new(Vec::new())));
        assert!(Arc::ptr_eq(&kept, &first));
        assert!(!Arc::ptr_eq(&exchange.current(), &first));
    }
}
