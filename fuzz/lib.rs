//! The room `tlog` by itself: it is pure and names only `limits`, so that fuzzing compiles seconds'
//! worth of code with instruments and not all of ddgate.

#[path = "../src/limits.rs"]
pub mod limits;
#[path = "../src/tlog/mod.rs"]
pub mod tlog;

/// A key whose signatures exist, so that a target can get past the question who signed.
pub const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
