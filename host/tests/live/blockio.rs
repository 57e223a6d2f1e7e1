//! Live tests of the plugin `blockio`.
