//! Live tests of the plugin `memory`.
