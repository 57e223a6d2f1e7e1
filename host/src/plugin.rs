//! Plugin files: checking them, opening them, and talking to what is inside.

mod copy;
pub mod file;
mod library;
mod trial;

pub use file::{check, check_folder};
pub use library::{Library, Sampler};
pub use trial::{TRIAL_OPTION, run_trial, try_out};
