//! What the server of the viewer is to be made of: which values are told of a span of time, how they
//! are written, and inputs that can be exchanged. The router is not there yet.

pub mod body;
pub mod exchange;
pub mod reduce;
