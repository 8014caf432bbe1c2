//! What the tests share.

pub mod conformance;
pub mod harness;
pub mod lossy;
pub mod postgres;
pub mod process;
pub mod purity;
