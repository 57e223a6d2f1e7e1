//! Live tests of the plugin `scheduler`.
