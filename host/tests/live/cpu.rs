//! Live tests of the plugin `cpu`.
