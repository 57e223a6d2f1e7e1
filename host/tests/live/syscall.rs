//! Live tests of the plugin `syscall`.
