//! The files themselves, by their names.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

// `EMBEDDED`: names and contents.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Where the files are in the source tree.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboard");

/// Below so many bytes packing gains nothing.
const WORTH_PACKING: usize = 256;

/// Made once, at the first request.
static PAGES: LazyLock<HashMap<&str, Arc<Page>>> = LazyLock::new(|| {
    EMBEDDED
        .iter()
        .map(|(name, content)| (*name, Arc::new(Page::of(name, Bytes::from_static(content)))))
        .collect()
});

/// A file as it is served.
#[derive(Debug)]
pub(super) struct Page {
    pub media_type: &'static str,
    pub content: Bytes,
    /// The same by gzip, where that is smaller.
    pub packed: Option<Bytes>,
    /// SHA-256 of the content, in hex.
    pub mark: String,
}

impl Page {
    fn of(name: &str, content: Bytes) -> Self {
        let mark = HEXLOWER.encode(&Sha256::digest(&content));
        let packed = Some(&content).filter(|content| content.len() >= WORTH_PACKING).and_then(pack);
        Self { media_type: media_type(name), content, packed, mark }
    }
}

/// The file of this name, which has `/` between its parts.
pub(super) fn page(name: &str) -> Option<Arc<Page>> {
    if !EMBEDDED.is_empty() {
        return PAGES.get(name).cloned();
    }
    let content = std::fs::read(Path::new(FOLDER).join(inside(name)?)).ok()?;
    Some(Arc::new(Page::of(name, content.into())))
}

/// A name that leads nowhere but into the folder.
fn inside(name: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_part = |part: &str| !part.starts_with('.') && !part.is_empty() && part.bytes().all(is_plain);
    Some(name).filter(|name| name.split('/').all(is_part))
}

fn pack(content: &Bytes) -> Option<Bytes> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::best());
    packing.write_all(content).ok()?;
    let packed = packing.finish().ok()?;
    (packed.len() < content.len()).then(|| packed.into())
}

/// By the name's ending. What has no known one is nothing that a page uses.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for good in ["index.html", "lib/a-b_c.js", "vendor/x.min.mjs"] {
            assert_eq!(inside(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../Cargo.toml",
            "lib/../../Cargo.toml",
            "lib//a.js",
            ".git",
            "a\\b",
            "a\0",
            "lib/",
        ] {
            assert_eq!(inside(bad), None, "{bad}");
        }
        assert!(page("../Cargo.toml").is_none() && page("nothing.js").is_none());
        assert_eq!(page("index.html").unwrap().media_type, "text/html; charset=utf-8");
    }

    #[test]
    fn what_is_packed_is_smaller() {
        let long = Page::of("a.js", "let a = 1;\n".repeat(100).into());
        assert!(long.packed.is_some_and(|packed| packed.len() < long.content.len()));
        assert!(Page::of("a.js", "let a = 1;".into()).packed.is_none());
    }
}
