//! Signing: Standard Webhooks (<https://www.standardwebhooks.com>), and the plain form of a hex
//! HMAC-SHA256 of the body in a named header.

use std::fmt::Write;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::message::{WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::secret::SigningSecret;
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureScheme {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64>`.
    Standard,
    /// `<header>: <prefix><hex>`, over the body alone. The key is the secret's text as it was shown.
    HmacSha256 { header: String, prefix: String },
}

/// How far a timestamp may be from the verifier's clock, in seconds, either way.
pub const TIMESTAMP_TOLERANCE_SECONDS: i64 = 300;

/// The headers that sign `body`, with every live secret: newest first.
pub fn sign(
    scheme: &SignatureScheme,
    secrets: &[SigningSecret],
    webhook_id: &str,
    now: Timestamp,
    body: &[u8],
) -> Vec<(String, String)> {
    match scheme {
        SignatureScheme::Standard => {
            let timestamp = now.as_secs().to_string();
            let mut signatures = String::new();
            for secret in secrets {
                let separator = if signatures.is_empty() { "" } else { " " };
                let tag = standard_tag(secret.key(), webhook_id, &timestamp, body);
                let _ = write!(signatures, "{separator}v1,{}", BASE64.encode(&tag));
            }
            vec![(WEBHOOK_TIMESTAMP.to_owned(), timestamp), (WEBHOOK_SIGNATURE.to_owned(), signatures)]
        }
        SignatureScheme::HmacSha256 { header, prefix } => secrets
            .first()
            .map(|secret| {
                let tag = mac(secret.text().expose().as_bytes(), &[body]).finalize().into_bytes();
                (header.clone(), format!("{prefix}{}", HEXLOWER.encode(&tag)))
            })
            .into_iter()
            .collect(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the request has no `{0}` header")]
    Missing(String),
    #[error("`webhook-timestamp` is not a number of seconds")]
    BadTimestamp,
    #[error(
        "`webhook-timestamp` is {0} seconds away from this machine's clock; {TIMESTAMP_TOLERANCE_SECONDS} are allowed"
    )]
    Stale(i64),
    #[error("no signature in `{0}` matches the body and the secret")]
    Mismatch(String),
}

/// Checks a request as its receiver does, in constant time. `header` looks a header up by its name.
pub fn verify<'h>(
    scheme: &SignatureScheme,
    secret: &SigningSecret,
    header: impl Fn(&str) -> Option<&'h str>,
    now: Timestamp,
    body: &[u8],
) -> Result<(), SignatureError> {
    let required = |name: &str| header(name).ok_or_else(|| SignatureError::Missing(name.to_owned()));
    match scheme {
        SignatureScheme::Standard => {
            let id = required(crate::message::WEBHOOK_ID)?;
            let timestamp = required(WEBHOOK_TIMESTAMP)?;
            let signatures = required(WEBHOOK_SIGNATURE)?;
            let sent: i64 = timestamp.parse().map_err(|_| SignatureError::BadTimestamp)?;
            let distance = now.as_secs().saturating_sub(sent).saturating_abs();
            if distance > TIMESTAMP_TOLERANCE_SECONDS {
                return Err(SignatureError::Stale(distance));
            }
            let mac = mac(secret.key(), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
            signatures
                .split(' ')
                .filter_map(|entry| BASE64.decode(entry.strip_prefix("v1,")?.as_bytes()).ok())
                .any(|tag| mac.clone().verify_slice(&tag).is_ok())
                .then_some(())
                .ok_or_else(|| SignatureError::Mismatch(WEBHOOK_SIGNATURE.to_owned()))
        }
        SignatureScheme::HmacSha256 { header: name, prefix } => required(name)?
            .strip_prefix(prefix.as_str())
            .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
            .filter(|tag| mac(secret.text().expose().as_bytes(), &[body]).verify_slice(tag).is_ok())
            .map(|_| ())
            .ok_or_else(|| SignatureError::Mismatch(name.clone())),
    }
}

fn standard_tag(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
    mac(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]).finalize().into_bytes().into()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const NOW: Timestamp = Timestamp::from_secs(1_614_265_330);

    fn secret() -> SigningSecret {
        SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn plain() -> SignatureScheme {
        SignatureScheme::HmacSha256 { header: "X-RevKeen-Signature".into(), prefix: "sha256=".into() }
    }

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn standard_known_answer() {
        let headers = sign(&SignatureScheme::Standard, &[secret()], ID, NOW, BODY);
        assert_eq!(headers[0], ("webhook-timestamp".into(), "1614265330".into()));
        assert_eq!(headers[1].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// Computed with OpenSSL: `openssl dgst -sha256 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
    #[test]
    fn plain_known_answer() {
        let headers = sign(&plain(), &[secret()], ID, NOW, BODY);
        assert_eq!(headers, [("X-RevKeen-Signature".into(), format!("sha256={PLAIN_HEX}"))]);
    }

    const PLAIN_HEX: &str = "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c";

    #[test]
    fn two_live_secrets_give_two_signatures() {
        let other = SigningSecret::from_key([9; 32]);
        let headers = sign(&SignatureScheme::Standard, &[other, secret()], ID, NOW, BODY);
        let signatures: Vec<_> = headers[1].1.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert_eq!(signatures[1], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn verifying() {
        for scheme in [SignatureScheme::Standard, plain()] {
            let mut headers = sign(&scheme, &[secret()], ID, NOW, BODY);
            headers.push(("webhook-id".into(), ID.into()));
            let lookup = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            assert_eq!(verify(&scheme, &secret(), lookup, NOW, BODY), Ok(()));
            let changed = verify(&scheme, &secret(), lookup, NOW, b"{}");
            assert!(matches!(changed, Err(SignatureError::Mismatch(_))));
            let wrong = verify(&scheme, &SigningSecret::from_key([1; 32]), lookup, NOW, BODY);
            assert!(matches!(wrong, Err(SignatureError::Mismatch(_))));
            let none = verify(&scheme, &secret(), |_| None, NOW, BODY);
            assert!(matches!(none, Err(SignatureError::Missing(_))));
        }
    }

    #[test]
    fn an_old_timestamp_is_refused() {
        let headers = sign(&SignatureScheme::Standard, &[secret()], ID, NOW, BODY);
        let lookup = |name: &str| match name {
            "webhook-id" => Some(ID),
            _ => headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()),
        };
        let later = Timestamp::from_secs(NOW.as_secs() + 301);
        assert_eq!(
            verify(&SignatureScheme::Standard, &secret(), lookup, later, BODY),
            Err(SignatureError::Stale(301))
        );
    }
}
