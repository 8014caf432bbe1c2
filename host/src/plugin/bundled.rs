//! The plugins that come with the server, as components inside its binary.

use bytes::Bytes;

/// A component that the build made from `plugins/`.
#[derive(Clone, Debug)]
pub struct Bundled {
    pub name: &'static str,
    pub bytes: Bytes,
}

/// All of them, sorted by name.
pub fn bundled() -> Vec<Bundled> {
    let components =
        COMPONENTS.iter().map(|&(name, bytes)| Bundled { name, bytes: Bytes::from_static(bytes) });
    components.collect()
}

// COMPONENTS: &[(&str, &[u8])]
include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
