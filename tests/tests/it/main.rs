//! The tests that need more than one module, in one binary.

mod conformance;
mod deliver;
mod endpoints;
mod ingest;
mod tidy;
