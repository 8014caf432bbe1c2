//! What the contract in `wit/` generates. Authors use the names that the crate's root re-exports.
#![allow(missing_docs)]

wit_bindgen::generate!({
    path: "../wit/0.1.0",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "hookwright_plugin::bindings",
    additional_derives: [PartialEq, Eq],
});

pub use exports::hookwright::plugin::transformer::Guest;
pub use hookwright::plugin::{log, types};
