//! Keys for plugin files, and signatures by them. Neither needs a server.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use zeroize::Zeroizing;

use crate::cli::screen::say;
use crate::plugin::{SIGNATURE_SUFFIX, SigningKey};

/// Most bytes of a file with a private key.
const KEY_FILE_LIMIT: u64 = 64 << 10;

#[derive(Debug, Args)]
pub struct Keygen {
    /// Where the private key goes; the file must not be there yet
    #[arg(long, value_name = "FILE", default_value = "plugin-signing-key.pem")]
    signing_key: PathBuf,
}

#[derive(Debug, Args)]
pub struct Sign {
    /// The private key: Ed25519 in PEM, as `plugin keygen` or `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    signing_key: PathBuf,
    /// The plugins; each gets a file of its name with `.sig` behind it
    #[arg(required = true, value_name = "PLUGIN.WASM")]
    plugins: Vec<PathBuf>,
}

impl Keygen {
    pub fn run(&self, json: bool) -> anyhow::Result<()> {
        let key = SigningKey::generate()?;
        write_private(&self.signing_key, key.pem()?.as_bytes())
            .with_context(|| format!("{} cannot be made", self.signing_key.display()))?;
        let public = key.public();
        if json {
            let made = serde_json::json!({
                "public_key": public.to_string(),
                "fingerprint": public.fingerprint(),
                "file": self.signing_key,
            });
            return Ok(say(&made.to_string())?);
        }
        Ok(say(&format!(
            "The private key is in {}; keep it to yourself.\nPublic key, for `signature_keys` under [plugin] in the \
             server's configuration:\n\n  {public}\n",
            self.signing_key.display()
        ))?)
    }
}

impl Sign {
    pub fn run(&self, json: bool) -> anyhow::Result<()> {
        let key = read_key(&self.signing_key)?;
        for plugin in &self.plugins {
            let bytes =
                std::fs::read(plugin).with_context(|| format!("{} cannot be read", plugin.display()))?;
            let signature = key.sign(&bytes);
            let file = signature_file(plugin);
            std::fs::write(&file, format!("{signature}\n"))
                .with_context(|| format!("{} cannot be written", file.display()))?;
            let told = match json {
                true => serde_json::json!({"file": file, "signature": signature}).to_string(),
                false => format!(
                    "Signed {} with {}: {}",
                    plugin.display(),
                    key.public().fingerprint(),
                    file.display()
                ),
            };
            say(&told)?;
        }
        Ok(())
    }
}

/// Beside the plugin.
pub fn signature_file(plugin: &Path) -> PathBuf {
    let mut name = plugin.as_os_str().to_owned();
    name.push(SIGNATURE_SUFFIX);
    name.into()
}

fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    let size = std::fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    if size > KEY_FILE_LIMIT {
        bail!("{} has {size} bytes; a private key has a few hundred", file.display());
    }
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    SigningKey::parse_pem(&text).with_context(|| format!("{} is no key", file.display()))
}

/// For this user alone, and never over a key that is there.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
