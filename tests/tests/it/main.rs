//! The tests that need more than one module, in one binary.

mod catalogue;
mod cloudevents;
mod access;
mod authors;
mod backtest;
mod conformance;
mod dashboard;
mod deliver;
mod dry_run;
mod ecmascript;
mod endpoints;
mod hostile;
mod ingest;
mod judge;
mod look;
mod openapi;
mod operate;
mod parity;
mod plugin_catalog;
mod plugin_host;
mod plugin_limits;
mod plugin_watch;
mod policies;
mod presets;
mod purity;
mod recipes;
mod replay;
mod restart;
mod rotation;
mod secrets;
mod shapers;
mod many_hosts;
mod shared_store;
mod targets;
mod tenants;
mod tidy;
mod transform;
mod twins;

// What has to hold whatever is killed, cut off or full; and what the world's verifiers say.
mod crash;
mod host_faults;
mod power_loss;
mod store_format;
mod verifiers;
mod verify;
