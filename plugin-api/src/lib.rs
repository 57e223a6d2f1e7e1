//! The contract between the rezolus host and its plugins.
//!
//! A plugin is a shared library that *declares*: a manifest (text, TOML) names
//! its samplers, their metrics, its BPF programs and how the numbers in BPF
//! maps become metrics. The host *acts*: it loads, attaches, maps, reads,
//! detaches and reports. A sampler that has nothing to do with BPF implements
//! [`Sampler`] instead and hands over its numbers when asked.
//!
//! What crosses the library's edge is frozen in [`abi`]; what evolves is the
//! manifest, whose unknown keys are ignored and whose missing ones have
//! defaults. So old plugins load in new hosts and new plugins in old hosts.
//!
//! ```text
//! rezolus_plugin_api::export! {
//!     manifest: include_str!("../plugin.toml"),
//!     dashboard: include_str!("../dashboard.json"),
//!     diagnoses: include_str!("../diagnoses.json"),
//!     bpf: rezolus_plugin_api::include_bpf!("memory"),
//!     samplers: { "memory_meminfo" => Meminfo },
//! }
//! ```
//!
//! `docs/writing-a-plugin.md` is the guide, with a complete example.

pub mod abi;
#[cfg(feature = "manifest")]
pub mod dashboard;
mod export;
#[cfg(feature = "manifest")]
pub mod manifest;
mod procfile;
mod sampler;

pub use abi_stable;
pub use procfile::ProcFile;
pub use sampler::{Context, Sampler, Series, Values};

#[doc(hidden)]
pub use export::*;

// A plugin that aborts on panic would take the agent down with it.
#[cfg(panic = "abort")]
compile_error!("a plugin must be built with panic = \"unwind\": the host contains panics by catching them");
