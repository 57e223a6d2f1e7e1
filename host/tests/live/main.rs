//! The agent against the live kernel: known load, exact counts, and the
//! kernel's own files. Everything here needs root and fails without it.
//!
//! Run by `make test`, which builds the plugins first.

mod agent;

mod blockio;
mod cli;
mod cpu;
mod damaged;
mod exporter;
mod faults;
mod fixture;
mod hindsight;
mod http;
mod identity;
mod lifecycle;
mod memory;
mod network;
mod plugins;
mod record;
mod record_faults;
mod scheduler;
mod syscall;
mod tcp;
