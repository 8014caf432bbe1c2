//! Why a file is no plugin, in sentences that say what to do about it.

use wasmtime::component::Component;

use super::text::clean;
use super::{Description, Failure};

/// A component was refused. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

const MAGIC: &[u8] = b"\0asm";
/// Version and layer of a core module, and of a component.
const MODULE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];
const HEADER: usize = 8;

const PACKAGE: &str = "hookwright:plugin/";
const TRANSFORMER: &str = "hookwright:plugin/transformer@";
const RECEIVER: &str = "hookwright:plugin/receiver@";
/// The track that this host serves.
const TRACK: &str = "0.1";

/// Most bytes of somebody else's text in a refusal.
const QUOTED: usize = 500;
const NAME: usize = 64;
const SUMMARY: usize = 500;
const SCHEMA: usize = 256 << 10;
const EXAMPLES: usize = 50;

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    pub(super) fn too_large(size: u64, limit: u64) -> Self {
        Self(format!(
            "the file has {size} bytes, and at most {limit} are allowed (setting `plugin.file_size_limit`)"
        ))
    }

    pub(super) fn invalid(error: &wasmtime::Error) -> Self {
        Self(format!("the component is not valid: {}", clean(&format!("{error:#}"), QUOTED)))
    }

    pub(super) fn imports(error: &wasmtime::Error) -> Self {
        Self(format!(
            "the plugin needs something that this server does not provide: {}",
            clean(&format!("{error:#}"), QUOTED)
        ))
    }

    /// From the failure of the first call, which is always `describe`.
    pub(super) fn describe(failure: &Failure) -> Self {
        if failure.message.contains("type mismatch") || failure.message.contains("wrong type") {
            return Self(format!(
                "the plugin was built from a changed copy of the contract; build it again with the released \
                 `wit/{TRACK}.0` ({failure})"
            ));
        }
        Self(format!("the plugin could not describe itself: {failure}"))
    }
}

/// Looks at the bytes alone, before anything is compiled.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::new("the file is empty; was it copied completely?"));
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::new(
            "the file is compiled native code (.cwasm), which is never loaded from here; use the .wasm component",
        ));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(not_wasm(bytes));
    }
    match bytes.get(MAGIC.len()..HEADER) {
        Some(COMPONENT) => check_sections(&bytes[HEADER..]),
        Some(MODULE) => Err(Refusal::new(
            "the file is a core WebAssembly module, not a component; build it with `--target wasm32-wasip2`",
        )),
        Some(_) => Err(Refusal::new("the file has an unknown version of WebAssembly")),
        None => Err(incomplete()),
    }
}

fn not_wasm(bytes: &[u8]) -> Refusal {
    match std::str::from_utf8(bytes) {
        Ok(_) => Refusal::new("the file is text, not WebAssembly; a plugin is a compiled component"),
        Err(_) => Refusal::new("the file is not WebAssembly; build it with `--target wasm32-wasip2`"),
    }
}

fn incomplete() -> Refusal {
    Refusal::new("the file is incomplete; copy it again, to a temporary name first, and then rename it")
}

/// Each section says how long it is, so a file that was cut short shows.
fn check_sections(mut rest: &[u8]) -> Result<(), Refusal> {
    while let [_id, after_id @ ..] = rest {
        let (size, body) = length(after_id).ok_or_else(incomplete)?;
        rest = body.get(size..).ok_or_else(incomplete)?;
    }
    Ok(())
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    const BYTES: usize = 5;
    let mut value: u64 = 0;
    for (place, byte) in bytes.iter().take(BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[place + 1..]));
        }
    }
    None
}

/// What a component asks for and offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Version of the contract that it was built for.
    pub contract: String,
    /// Whether it can also read the receiver's answer.
    pub judges: bool,
    /// Names of interfaces, sorted.
    pub imports: Vec<String>,
}

impl World {
    /// Of those in `wit/`.
    pub fn name(&self) -> &'static str {
        if self.judges { "destination" } else { "plugin" }
    }
}

/// Looks at what a compiled component asks for and offers.
pub(super) fn check_world(component: &Component) -> Result<World, Refusal> {
    let engine = component.engine();
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let Some(transformer) = exports.iter().find(|name| name.starts_with(TRANSFORMER)) else {
        return Err(no_transformer(&exports));
    };
    let contract = &transformer[TRANSFORMER.len()..];
    check_track(contract)?;
    let mut imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
    check_imports(&imports)?;
    imports.sort_unstable();
    Ok(World {
        contract: clean(contract, NAME),
        judges: exports.iter().any(|name| name.starts_with(RECEIVER)),
        imports: imports.into_iter().map(|name| clean(name, NAME * 2)).collect(),
    })
}

fn no_transformer(exports: &[&str]) -> Refusal {
    let exports = match exports {
        [] => "nothing".to_owned(),
        some => clean(&some.join(", "), QUOTED),
    };
    Refusal::new(format!(
        "the component is not a transform plugin: it exports {exports}, and not `{TRANSFORMER}{TRACK}.0`"
    ))
}

fn check_track(version: &str) -> Result<(), Refusal> {
    let on_track = version.strip_prefix(TRACK).is_some_and(|rest| rest.starts_with('.'));
    on_track.then_some(()).ok_or_else(|| {
        Refusal::new(format!(
            "the plugin was built for hookwright:plugin {}, and this server supports {TRACK}; build it against \
             that version, or upgrade the server",
            clean(version, NAME)
        ))
    })
}

fn check_imports(imports: &[&str]) -> Result<(), Refusal> {
    let network: Vec<&str> = imports.iter().copied().filter(|name| name.starts_with("wasi:http/")).collect();
    if !network.is_empty() {
        return Err(Refusal::new(format!(
            "the plugin wants the network ({}), which no plugin has; build it without (jco: `--disable http`, \
             componentize-py: `--stub-wasi`)",
            clean(&network.join(", "), QUOTED)
        )));
    }
    let foreign: Vec<&str> = imports
        .iter()
        .copied()
        .filter(|name| !name.starts_with("wasi:") && !name.starts_with(PACKAGE))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "the plugin imports {}, which this server does not provide",
        clean(&foreign.join(", "), QUOTED)
    )))
}

/// Holds the plugin to what it says about itself. `stem` is the name that it was filed under, if any.
pub(super) fn check_description(
    mut description: Description,
    stem: Option<&str>,
) -> Result<Description, Refusal> {
    check_name(&description.name)?;
    if let Some(stem) = stem.filter(|stem| *stem != description.name) {
        return Err(Refusal::new(format!(
            "the file is named `{stem}` and the plugin calls itself `{}`; rename one of them",
            description.name
        )));
    }
    check_version(&description.version)?;
    check_schema(&description.config_schema)?;
    if description.examples.len() > EXAMPLES {
        return Err(Refusal::new(format!("the plugin has more than {EXAMPLES} examples")));
    }
    description.summary = clean(&description.summary, SUMMARY);
    Ok(description)
}

/// Whether a plugin can be called so.
///
/// # Errors
///
/// Where it cannot.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let of_plain_characters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !name.is_empty() && name.len() <= NAME && of_plain_characters {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "`{}` is no plugin name: 1 to {NAME} characters of a-z, 0-9 and `-`",
        clean(name, NAME)
    )))
}

/// Three numbers, and perhaps a pre-release or a build after them.
fn check_version(version: &str) -> Result<(), Refusal> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = numbers.split('.').collect();
    let valid = parts.len() == 3
        && parts.iter().all(|part| part.parse::<u64>().is_ok())
        && version.len() <= NAME
        && version.bytes().all(|byte| byte.is_ascii_graphic());
    valid.then_some(()).ok_or_else(|| {
        Refusal::new(format!("the plugin's version `{}` is not of the form 1.2.3", clean(version, NAME)))
    })
}

fn check_schema(schema: &str) -> Result<(), Refusal> {
    if schema.len() > SCHEMA {
        return Err(Refusal::new(format!("the plugin's config schema has more than {SCHEMA} bytes")));
    }
    if schema.is_empty() {
        return Ok(());
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(schema) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::new(format!("the plugin's config schema is not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_wrong_file_has_its_own_sentence() {
        let component = |rest: &[u8]| [MAGIC, COMPONENT, rest].concat();
        for (bytes, want) in [
            (vec![], "empty"),
            (b"#!/bin/sh".to_vec(), "text"),
            (b"(component)".to_vec(), "text"),
            (vec![0xff, 0xfe, 1, 2], "not WebAssembly"),
            ([MAGIC, MODULE].concat(), "--target wasm32-wasip2"),
            ([MAGIC, &[9, 9, 9, 9]].concat(), "unknown version"),
            (MAGIC.to_vec(), "incomplete"),
            (component(&[0, 5, 1, 2]), "incomplete"),
            (component(&[0]), "incomplete"),
            (component(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "incomplete"),
        ] {
            let refusal = check_bytes(&bytes).expect_err("to be refused").to_string();
            assert!(refusal.contains(want), "{bytes:?}: {refusal}");
        }
        assert_eq!(check_bytes(&component(&[0, 2, 1, b'a'])), Ok(()));
    }

    #[test]
    fn versions_are_told_apart_by_track() {
        assert_eq!(check_track("0.1.0"), Ok(()));
        assert_eq!(check_track("0.1.7"), Ok(()));
        for other in ["0.2.0", "0.10.0", "1.0.0", "0.1"] {
            assert!(check_track(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_description_has_to_be_usable() {
        let description = |name: &str, version: &str, schema: &str| Description {
            name: name.into(),
            version: version.into(),
            summary: "a\u{1b}[2J".into(),
            config_schema: schema.into(),
            must_run: false,
            examples: Vec::new(),
        };
        let good = check_description(description("a-1", "1.2.3-rc.1", "{}"), Some("a-1")).unwrap();
        assert_eq!(good.summary, "a[2J");
        for (bad, stem, want) in [
            (description("b", "1.2.3", ""), Some("a"), "`a`"),
            (description("A", "1.2.3", ""), None, "plugin name"),
            (description("", "1.2.3", ""), None, "plugin name"),
            (description("a", "1.2", ""), None, "1.2.3"),
            (description("a", "1.2.3 \n", ""), None, "1.2.3"),
            (description("a", "1.2.3", "{"), None, "JSON"),
        ] {
            let refusal = check_description(bad, stem).expect_err("to be refused").to_string();
            assert!(refusal.contains(want), "{refusal}");
        }
    }
}
