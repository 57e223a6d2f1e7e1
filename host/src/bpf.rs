//! eBPF: loading a plugin's object, attaching its programs down their ladders,
//! and mapping its tables.

mod cgroup;
mod iterator;
mod layout;
mod load;
mod log;
mod object;
pub mod perf;
mod stats;

pub use cgroup::Watch as CgroupWatch;
pub use iterator::Reader;
pub use object::{Machine, Maps, Object, Plan};
pub use stats::{StatsOn, cost_of};
