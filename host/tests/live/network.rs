//! Live tests of the plugin `network`.
