//! Live tests of the plugin `tcp`.
