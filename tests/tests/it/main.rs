//! The tests that need more than one module, in one binary.

mod conformance;
mod deliver;
mod endpoints;
mod hostile;
mod ingest;
mod look;
mod restart;
mod secrets;
mod tidy;
mod transform;
