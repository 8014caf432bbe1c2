//! Hookwright: a self-hosted webhook delivery server whose deliveries are shaped by WebAssembly components.
//!
//! `ARCHITECTURE.md` beside this crate's manifest is the map. Modules are listed in reading order; imports
//! point upwards only.

// Words: pure. No async, no clock, no randomness, no I/O.
pub mod time;
pub mod id;
pub mod spelling;
pub mod event;
pub mod subscription;
pub mod secret;
pub mod message;
pub mod ecmascript;
pub mod signature;
pub mod diagnosis;
pub mod retry;
pub mod terms;
pub mod catalogue;
pub mod endpoint;
pub mod tenant;
pub mod meter;
pub mod attempt;
pub mod delivery;
pub mod trouble;
pub mod health;
pub mod tally;
pub mod access;

// Machinery: each does one kind of I/O.
pub mod layout;
pub mod schema;
pub mod disk;
pub mod store;
pub mod notice;
pub mod seal;
pub mod book;
pub mod rekey;
pub mod metrics;
pub mod live;
pub mod plugin;
pub mod send;
pub mod dispatch;
pub mod ingest;

// Edges: where people and programs touch it.
pub mod config;
pub mod telemetry;
pub mod server;
pub mod supervisor;
pub mod dashboard;
pub mod api;
pub mod receiver;
pub mod app;
pub mod cli;
