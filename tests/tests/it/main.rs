//! The tests that need more than one module, in one binary.

mod conformance;
mod ingest;
mod tidy;
