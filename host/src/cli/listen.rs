//! `listen`: a local receiver that verifies signatures and prints what arrives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, bail};
use http::StatusCode;

use super::screen::{Paint, indented, printable, say};
use super::{argument, json, signals};
use crate::receiver::{Arrival, Expected, Receiver, Reply, Signature};
use crate::secret::VerifyingKey;
use crate::signature::SignatureScheme;

/// Most characters of a body that are printed.
const MAX_SHOWN: usize = 64 << 10;

/// Receive webhooks on this machine: verify their signatures, print them
///
/// So that a server may deliver here, start it with `--allow-target 127.0.0.1/32`.
#[derive(Debug, clap::Args)]
pub struct Listen {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0, conflicts_with = "listen")]
    port: u16,
    /// Address and port
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The endpoint's signing secret (whsec_..., or for hmac a text of your own) or public key (whpk_...); without it,
    /// signatures are not checked
    #[arg(long, env = "HOOKWRIGHT_SECRET", hide_env_values = true, value_parser = VerifyingKey::parse)]
    secret: Option<VerifyingKey>,
    /// How requests are signed: standard, standard-asymmetric, hmac:HEADER or hmac:HEADER:PREFIX
    #[arg(long, default_value = "standard", value_parser = argument::signature)]
    scheme: SignatureScheme,
    /// Answer with this status
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
    /// Answer 500 to so many requests first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16))]
    fail: u16,
}

impl Listen {
    pub async fn run(self) -> anyhow::Result<()> {
        let address = self.listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port));
        let mut receiver =
            Receiver::bind(address).await.with_context(|| format!("{address} cannot be listened on"))?;
        let checked = self.secret.is_some();
        self.set_up(&receiver)?;
        say(&format!("Listening on {}", receiver.url("/")))?;
        if !checked {
            eprintln!("hint: with `--secret whsec_...` signatures are verified");
        }
        print_arrivals(&mut receiver, signals::shutdown()?).await
    }

    fn set_up(self, receiver: &Receiver) -> anyhow::Result<()> {
        receiver.reply(Reply::status(StatusCode::from_u16(self.status)?));
        let failure = Reply::status(StatusCode::INTERNAL_SERVER_ERROR);
        receiver.reply_first(std::iter::repeat_n(failure, self.fail.into()));
        if let Some(key) = self.secret {
            if !self.scheme.is_checked_with(&key) {
                bail!(
                    "no signature of this scheme can be checked with this key\nhint: standard takes whsec_..., \
                     standard-asymmetric whpk_..., hmac:HEADER any secret but these public and private keys"
                );
            }
            receiver.expect(None, Expected { scheme: self.scheme, key });
        }
        Ok(())
    }
}

/// Prints what arrives until `shutdown`.
pub async fn print_arrivals(
    receiver: &mut Receiver,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            arrival = receiver.next() => say(&shown(&arrival, Paint::stdout()))?,
        }
    }
}

/// The whole request, with what became of it in the first line.
fn shown(arrival: &Arrival, paint: Paint) -> String {
    let line = format!("{} {}", arrival.method, printable(&arrival.path_and_query));
    let mut text = format!(
        "\n{}  {}  {}  {}\n",
        paint.dim(&arrival.at.to_string()),
        paint.bold(&line),
        arrival.status,
        verdict(&arrival.signature, paint)
    );
    for (name, value) in &arrival.headers {
        text += &format!("  {}: {}\n", paint.dim(&printable(name)), printable(value));
    }
    let body = body(arrival);
    if !body.is_empty() {
        text += &format!("\n{}", indented("  ", &body));
    }
    text
}

pub fn verdict(signature: &Signature, paint: Paint) -> String {
    match signature {
        Signature::Unchecked => paint.dim("signature not checked"),
        Signature::Verified => paint.good("signature verified"),
        Signature::Refused(error) => paint.bad(&format!("signature refused: {error}")),
    }
}

/// JSON in lines, other text as it is, anything else by its size.
pub fn body(arrival: &Arrival) -> String {
    let Ok(text) = std::str::from_utf8(&arrival.body) else {
        return format!("({} bytes that are not text)", arrival.body.len());
    };
    let text = printable(&json::pretty(text).unwrap_or_else(|| text.to_owned()));
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}\n... ({} bytes in all)", &text[..end], arrival.body.len()),
        None => text,
    }
}
