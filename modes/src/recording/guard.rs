//! The parquet crate may panic on damaged files. Here that is an error.

pub use rezolus_store::guard::guarded;
