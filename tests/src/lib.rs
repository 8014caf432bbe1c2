//! What the tests share.

pub mod conformance;
pub mod harness;
pub mod lossy;
pub mod process;
pub mod purity;
