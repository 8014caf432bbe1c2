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

/// What the world `destination` has beside `plugin`. Its own bindings, so that both can be exported from one crate:
/// a component that exports both is of that world.
pub mod judging {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        inline: "
            package hookwright:sdk;
            world judging {
                export hookwright:plugin/receiver@0.1.0;
            }
        ",
        world: "hookwright:sdk/judging",
        pub_export_macro: true,
        default_bindings_module: "hookwright_plugin::bindings::judging",
        with: { "hookwright:plugin/types@0.1.0": crate::bindings::hookwright::plugin::types },
        additional_derives: [PartialEq, Eq],
    });

    pub use exports::hookwright::plugin::receiver;
}
