//! Signing: Standard Webhooks (<https://www.standardwebhooks.com>), symmetric or not, and the plain form of a hex
//! HMAC-SHA256 of the body in a named header.
//!
//! While a rotation lasts, two secrets sign. The standard forms carry both signatures in one header, newest first.
//! In the plain form the header goes on carrying the old one, which is what an unchanged receiver checks, and
//! `<header>-Next` carries the new one.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::message::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::secret::{
    InvalidSigningSecret, NEW_KEY_LENGTH, PublicKey, SecretForm, SigningKey, SigningSecret, SigningSecrets,
    Succession, VerifyingKey,
};
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureScheme {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64>`.
    Standard,
    /// The same with `v1a,<base64>`: Ed25519, checked with a public key.
    StandardAsymmetric,
    /// `<header>: <prefix><hex>`, over the body alone. The key is the secret's text as it was shown.
    HmacSha256 { header: String, prefix: String },
}

/// How far a timestamp may be from the verifier's clock, in seconds, either way.
pub const TIMESTAMP_TOLERANCE_SECONDS: i64 = 300;

/// What a plain scheme's header has behind its name where the new secret signs beside the old one.
const NEXT: &str = "-Next";

const SYMMETRIC: &str = "v1";
const ASYMMETRIC: &str = "v1a";

impl SignatureScheme {
    /// A secret of random bytes.
    pub fn new_secret(&self, random: [u8; NEW_KEY_LENGTH]) -> SigningSecret {
        match self {
            Self::StandardAsymmetric => SigningSecret::from_seed(random),
            Self::Standard | Self::HmacSha256 { .. } => SigningSecret::from_key(random),
        }
    }

    /// Reads a secret that somebody brings along.
    ///
    /// # Errors
    ///
    /// Where this scheme cannot sign with it.
    pub fn read_secret(&self, text: &str) -> Result<SigningSecret, InvalidSigningSecret> {
        match self {
            Self::Standard => SigningSecret::parse(text),
            Self::StandardAsymmetric => SigningSecret::parse_private(text),
            Self::HmacSha256 { .. } => SigningSecret::parse_text(text),
        }
    }

    /// Reads what signatures of this scheme are checked with: the secret, or for the asymmetric form a public key.
    ///
    /// # Errors
    ///
    /// Where none of its signatures could match.
    pub fn read_key(&self, text: &str) -> Result<VerifyingKey, InvalidSigningSecret> {
        match VerifyingKey::parse(text) {
            Ok(key) if self.is_checked_with(&key) => Ok(key),
            _ => self.read_secret(text).map(VerifyingKey::from),
        }
    }

    /// Whether a signature of this scheme can match the key.
    pub fn is_checked_with(&self, key: &VerifyingKey) -> bool {
        match key {
            VerifyingKey::Public(_) => *self == Self::StandardAsymmetric,
            VerifyingKey::Secret(secret) => self.takes(secret),
        }
    }

    /// Whether signatures made with it are those of this scheme.
    pub fn takes(&self, secret: &SigningSecret) -> bool {
        match self {
            Self::Standard => secret.form() == SecretForm::Symmetric,
            Self::StandardAsymmetric => secret.form() == SecretForm::Asymmetric,
            Self::HmacSha256 { .. } => secret.form() != SecretForm::Asymmetric,
        }
    }

    pub fn succession(&self) -> Succession {
        match self {
            Self::Standard | Self::StandardAsymmetric => Succession::SideBySide,
            Self::HmacSha256 { .. } => Succession::OldLeads,
        }
    }

    /// The headers that are the signature's alone, whether they are in use or not; beside `webhook-*`, which the host
    /// keeps for itself anyway.
    pub fn own_headers(&self) -> Vec<String> {
        match self {
            Self::Standard | Self::StandardAsymmetric => Vec::new(),
            Self::HmacSha256 { header, .. } => vec![header.clone(), next(header)],
        }
    }

    /// The secrets that sign at `now`, newest first, each with the header that it signs in.
    pub fn places<'s>(
        &self,
        secrets: &'s SigningSecrets,
        now: Timestamp,
    ) -> Vec<(String, &'s SigningSecret)> {
        let rotating = secrets.previous(now).is_some();
        let place = |secret: &SigningSecret| match self {
            Self::Standard | Self::StandardAsymmetric => WEBHOOK_SIGNATURE.to_owned(),
            Self::HmacSha256 { header, .. } if rotating && secret == secrets.newest() => next(header),
            Self::HmacSha256 { header, .. } => header.clone(),
        };
        secrets.live(now).map(|secret| (place(secret), secret)).collect()
    }
}

fn next(header: &str) -> String {
    format!("{header}{NEXT}")
}

/// The headers that sign `body`, with every secret that is live at `now`.
pub fn sign(
    scheme: &SignatureScheme,
    secrets: &SigningSecrets,
    webhook_id: &str,
    now: Timestamp,
    body: &[u8],
) -> Vec<(String, String)> {
    match scheme {
        SignatureScheme::Standard | SignatureScheme::StandardAsymmetric => {
            let timestamp = now.as_secs().to_string();
            let content = [webhook_id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
            let signatures: Vec<String> =
                secrets.live(now).map(|secret| standard_signature(secret, &content)).collect();
            vec![
                (WEBHOOK_TIMESTAMP.to_owned(), timestamp),
                (WEBHOOK_SIGNATURE.to_owned(), signatures.join(" ")),
            ]
        }
        SignatureScheme::HmacSha256 { prefix, .. } => {
            let signed = |(header, secret): (String, &SigningSecret)| {
                let tag = plain_mac(secret, body).finalize().into_bytes();
                (header, format!("{prefix}{}", HEXLOWER.encode(&tag)))
            };
            scheme.places(secrets, now).into_iter().map(signed).collect()
        }
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
///
/// In the plain form a signature in either of the two headers will do, so that whoever has the new secret can check
/// with it before the old one is gone.
pub fn verify<'h>(
    scheme: &SignatureScheme,
    key: &VerifyingKey,
    header: impl Fn(&str) -> Option<&'h str>,
    now: Timestamp,
    body: &[u8],
) -> Result<(), SignatureError> {
    match scheme {
        SignatureScheme::Standard | SignatureScheme::StandardAsymmetric => {
            verify_standard(key, header, now, body)
        }
        SignatureScheme::HmacSha256 { header: name, prefix } => {
            let found = [header(name), header(&next(name))];
            if found == [None, None] {
                return Err(SignatureError::Missing(name.clone()));
            }
            let matches = |signature: &str| plain_matches(key, prefix, signature, body);
            match found.into_iter().flatten().any(matches) {
                true => Ok(()),
                false => Err(SignatureError::Mismatch(name.clone())),
            }
        }
    }
}

fn verify_standard<'h>(
    key: &VerifyingKey,
    header: impl Fn(&str) -> Option<&'h str>,
    now: Timestamp,
    body: &[u8],
) -> Result<(), SignatureError> {
    let required = |name: &str| header(name).ok_or_else(|| SignatureError::Missing(name.to_owned()));
    let id = required(WEBHOOK_ID)?;
    let timestamp = required(WEBHOOK_TIMESTAMP)?;
    let signatures = required(WEBHOOK_SIGNATURE)?;
    let sent: i64 = timestamp.parse().map_err(|_| SignatureError::BadTimestamp)?;
    let distance = now.as_secs().saturating_sub(sent).saturating_abs();
    if distance > TIMESTAMP_TOLERANCE_SECONDS {
        return Err(SignatureError::Stale(distance));
    }
    let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    match signatures.split(' ').any(|signature| standard_matches(key, signature, &content)) {
        true => Ok(()),
        false => Err(SignatureError::Mismatch(WEBHOOK_SIGNATURE.to_owned())),
    }
}

fn standard_signature(secret: &SigningSecret, content: &[&[u8]]) -> String {
    match secret.key() {
        SigningKey::Shared(key) => {
            let tag = mac(key, content).finalize().into_bytes();
            format!("{SYMMETRIC},{}", BASE64.encode(&tag))
        }
        SigningKey::Private(pair) => {
            format!("{ASYMMETRIC},{}", BASE64.encode(pair.sign(&content.concat()).as_ref()))
        }
    }
}

/// The signature says of which kind it is; one of another kind than the key matches nothing.
fn standard_matches(key: &VerifyingKey, signature: &str, content: &[&[u8]]) -> bool {
    let Some((kind, tag)) = signature.split_once(',') else { return false };
    let Ok(tag) = BASE64.decode(tag.as_bytes()) else { return false };
    match (key, kind) {
        (VerifyingKey::Public(key), ASYMMETRIC) => asymmetric_matches(key, &tag, content),
        (VerifyingKey::Secret(secret), SYMMETRIC) => match secret.key() {
            SigningKey::Shared(key) => mac(key, content).verify_slice(&tag).is_ok(),
            SigningKey::Private(_) => false,
        },
        _ => false,
    }
}

fn asymmetric_matches(key: &PublicKey, tag: &[u8], content: &[&[u8]]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(&content.concat(), tag).is_ok()
}

fn plain_matches(key: &VerifyingKey, prefix: &str, signature: &str, body: &[u8]) -> bool {
    let VerifyingKey::Secret(secret) = key else { return false };
    let tag = signature.strip_prefix(prefix).and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
    tag.is_some_and(|tag| plain_mac(secret, body).verify_slice(&tag).is_ok())
}

fn plain_mac(secret: &SigningSecret, body: &[u8]) -> Hmac<Sha256> {
    mac(secret.text().expose().as_bytes(), &[body])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const NOW: Timestamp = Timestamp::from_secs(1_614_265_330);
    const OVERLAP: Duration = Duration::from_secs(100);

    fn secret() -> SigningSecret {
        SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn plain() -> SignatureScheme {
        SignatureScheme::HmacSha256 { header: "X-RevKeen-Signature".into(), prefix: "sha256=".into() }
    }

    fn schemes() -> [SignatureScheme; 3] {
        [SignatureScheme::Standard, SignatureScheme::StandardAsymmetric, plain()]
    }

    /// Signs at `now`, and checks with the key then.
    fn check(
        scheme: &SignatureScheme,
        secrets: &SigningSecrets,
        key: &VerifyingKey,
        now: Timestamp,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let mut headers = sign(scheme, secrets, ID, now, BODY);
        headers.push(("webhook-id".into(), ID.into()));
        let lookup = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        verify(scheme, key, lookup, now, body)
    }

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn standard_known_answer() {
        let headers = sign(&SignatureScheme::Standard, &secret().into(), ID, NOW, BODY);
        assert_eq!(headers[0], ("webhook-timestamp".into(), "1614265330".into()));
        assert_eq!(headers[1].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// Computed with OpenSSL: `openssl dgst -sha256 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
    #[test]
    fn plain_known_answer() {
        let headers = sign(&plain(), &secret().into(), ID, NOW, BODY);
        assert_eq!(headers, [("X-RevKeen-Signature".into(), format!("sha256={PLAIN_HEX}"))]);
    }

    const PLAIN_HEX: &str = "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c";

    /// RFC 8032, section 7.1: seed, message, signature.
    #[test]
    fn asymmetric_known_answers() {
        let table = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                &b""[..],
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd\
                 25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                b"\x72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3\
                 87b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                b"\xaf\x82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594\
                 a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (seed, message, expected) in table {
            let seed = HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
            let secret = SigningSecret::from_seed(seed);
            let tag = HEXLOWER.decode(expected.as_bytes()).unwrap();
            // In parts, as a webhook's content comes.
            let content = [message, b""];
            assert_eq!(standard_signature(&secret, &content), format!("v1a,{}", BASE64.encode(&tag)));
            assert!(asymmetric_matches(&secret.public_key().unwrap(), &tag, &content));
        }
    }

    #[test]
    fn verifying() {
        for scheme in schemes() {
            let secret = scheme.new_secret([3; 32]);
            let (secrets, key) = (secret.clone().into(), VerifyingKey::from(secret));
            assert_eq!(check(&scheme, &secrets, &key, NOW, BODY), Ok(()));
            let changed = check(&scheme, &secrets, &key, NOW, b"{}");
            assert!(matches!(changed, Err(SignatureError::Mismatch(_))));
            for stranger in [SigningSecret::from_key([1; 32]), SigningSecret::from_seed([1; 32])] {
                let wrong = check(&scheme, &secrets, &stranger.into(), NOW, BODY);
                assert!(matches!(wrong, Err(SignatureError::Mismatch(_))), "{scheme:?}");
            }
            let none = verify(&scheme, &key, |_| None, NOW, BODY);
            assert!(matches!(none, Err(SignatureError::Missing(_))));
        }
    }

    #[test]
    fn during_a_rotation_both_secrets_verify_and_afterwards_the_new_one() {
        for scheme in schemes() {
            let (old, new) = (scheme.new_secret([1; 32]), scheme.new_secret([2; 32]));
            let secrets = SigningSecrets::new(old.clone());
            let secrets = secrets.rotated(new.clone(), scheme.succession(), OVERLAP, NOW);
            let (old, new) = (VerifyingKey::from(old), VerifyingKey::from(new));
            let [during, after] = [99, 100].map(|seconds| NOW.plus(Duration::from_secs(seconds)));
            assert_eq!(check(&scheme, &secrets, &old, during, BODY), Ok(()), "{scheme:?}");
            assert_eq!(check(&scheme, &secrets, &new, during, BODY), Ok(()), "{scheme:?}");
            assert!(check(&scheme, &secrets, &old, after, BODY).is_err(), "{scheme:?}");
            assert_eq!(check(&scheme, &secrets, &new, after, BODY), Ok(()), "{scheme:?}");
            assert!(check(&scheme, &secrets.settled(), &old, during, BODY).is_err(), "{scheme:?}");
        }
    }

    #[test]
    fn where_two_secrets_sign() {
        let (old, new) = (secret(), SigningSecret::from_key([9; 32]));
        let rotated = |scheme: &SignatureScheme| {
            let secrets = SigningSecrets::new(old.clone());
            secrets.rotated(new.clone(), scheme.succession(), OVERLAP, NOW)
        };
        let standard = sign(&SignatureScheme::Standard, &rotated(&SignatureScheme::Standard), ID, NOW, BODY);
        let signatures: Vec<_> = standard[1].1.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert_eq!(signatures[1], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

        let headers = sign(&plain(), &rotated(&plain()), ID, NOW, BODY);
        let [(next, by_new), (header, by_old)] = headers.as_slice() else { panic!("{headers:?}") };
        assert_eq!([next.as_str(), header], ["X-RevKeen-Signature-Next", "X-RevKeen-Signature"]);
        assert_eq!(*by_old, format!("sha256={PLAIN_HEX}"), "an unchanged receiver goes on");
        let alone = sign(&plain(), &new.clone().into(), ID, NOW, BODY);
        assert_eq!(alone, [(header.clone(), by_new.clone())]);
    }

    #[test]
    fn which_secrets_a_scheme_takes() {
        let own = "an-own-secret-text";
        let symmetric = SigningSecret::from_key([1; 32]).text().expose().to_owned();
        let private = SigningSecret::from_seed([1; 32]).text().expose().to_owned();
        for (scheme, taken) in
            schemes().into_iter().zip([[true, false, false], [false, true, false], [true, false, true]])
        {
            let texts = [symmetric.as_str(), &private, own];
            assert_eq!(texts.map(|text| scheme.read_secret(text).is_ok()), taken, "{scheme:?}");
            let public = SigningSecret::from_seed([1; 32]).public_key().unwrap().to_string();
            assert_eq!(scheme.read_key(&public).is_ok(), scheme == SignatureScheme::StandardAsymmetric);
            assert_eq!(texts.map(|text| scheme.read_key(text).is_ok()), taken, "{scheme:?}");
            let takes = |text: &str| scheme.takes(&SigningSecret::restore(text).unwrap());
            assert_eq!(texts.map(takes), taken, "{scheme:?}");
            assert!(scheme.takes(&scheme.new_secret([5; 32])), "{scheme:?}");
        }
    }

    #[test]
    fn an_old_timestamp_is_refused() {
        let headers = sign(&SignatureScheme::Standard, &secret().into(), ID, NOW, BODY);
        let lookup = |name: &str| match name {
            "webhook-id" => Some(ID),
            _ => headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()),
        };
        let later = Timestamp::from_secs(NOW.as_secs() + 301);
        assert_eq!(
            verify(&SignatureScheme::Standard, &secret().into(), lookup, later, BODY),
            Err(SignatureError::Stale(301))
        );
    }
}
