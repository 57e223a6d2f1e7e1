//! The values of a series at the steps of a query.

use std::sync::Arc;

use crate::histogram::FloatHistogram;
use crate::sample::{Sample, Samples, Shared, Values};

/// Stands where there is no float. A NaN that no computation yields.
pub const ABSENT: f64 = f64::from_bits(0x7ff8_0000_ab5e_4700);

pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// A value or nothing for each step.
#[derive(Clone, Debug)]
pub struct Points {
    /// [`ABSENT`] where there is none, or a histogram.
    pub floats: Vec<f64>,
    /// As many, or none at all if no step has a histogram.
    pub histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Points {
    /// Nothing at any of so many steps.
    pub fn absent(steps: usize) -> Self {
        Self { floats: vec![ABSENT; steps], histograms: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.floats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.floats.is_empty()
    }

    pub fn get(&self, step: usize) -> Option<Sample> {
        match self.histograms.get(step) {
            Some(Some(histogram)) => Some(Sample::Histogram(histogram.clone())),
            _ => Some(self.floats[step]).filter(|value| !is_absent(*value)).map(Sample::Float),
        }
    }

    pub fn has(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || matches!(self.histograms.get(step), Some(Some(_)))
    }

    pub fn set(&mut self, step: usize, sample: Option<Sample>) {
        if let Some(old) = self.histograms.get_mut(step) {
            *old = None;
        }
        self.floats[step] = ABSENT;
        match sample {
            None => {}
            Some(Sample::Float(value)) => self.floats[step] = value,
            Some(Sample::Histogram(histogram)) => {
                if self.histograms.is_empty() {
                    self.histograms.resize(self.floats.len(), None);
                }
                self.histograms[step] = Some(histogram);
            }
        }
    }

    /// Whether there is nothing at any step.
    pub fn is_absent(&self) -> bool {
        (0..self.len()).all(|step| !self.has(step))
    }

    /// What there is, at the times of the steps. Those that have a float at each
    /// step share their times, and nothing is copied.
    pub fn into_samples(self, times: &Shared<i64>) -> Samples {
        if !self.histograms.is_empty() {
            let sample = |(step, &time): (usize, &i64)| Some((time, self.get(step)?));
            return Samples::new(times.iter().enumerate().filter_map(sample));
        }
        if !self.floats.iter().any(|value| is_absent(*value)) {
            return Samples { times: times.clone(), values: Values::Floats(self.floats.into()) };
        }
        let there = times.iter().copied().zip(self.floats).filter(|(_, value)| !is_absent(*value));
        let (times, floats): (Vec<i64>, Vec<f64>) = there.unzip();
        Samples { times: times.into(), values: Values::Floats(floats.into()) }
    }
}
