//! Signatures of Ed25519, which are checked with a public key.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64;

use super::{ASYMMETRIC_PREFIX, BodyForm, Case, Finding, body, time, unpadded};
use crate::message::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

const PUBLIC_PREFIX: &str = "whpk_";
const KEY_LENGTH: usize = 32;

pub(super) fn diagnose(case: &Case<'_>) -> Vec<Finding> {
    let Some(key) = public_key(case.secret) else { return vec![Finding::PublicKeyForm] };
    let needed = [WEBHOOK_SIGNATURE, WEBHOOK_ID, WEBHOOK_TIMESTAMP];
    let missing: Vec<Finding> = needed
        .into_iter()
        .filter(|name| case.header(name).is_none())
        .map(|name| Finding::HeaderMissing(name.to_owned()))
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    let signatures = signatures(case);
    if signatures.is_empty() {
        return vec![Finding::Symmetric];
    }
    let matches =
        |form: &BodyForm| form.of(case.body).is_some_and(|body| is_signed(case, &key, &signatures, &body));
    let mut findings = match BodyForm::ALL.into_iter().find(matches) {
        Some(BodyForm::AsIs) => Vec::new(),
        Some(form) => vec![Finding::Body(form)],
        None => vec![Finding::Unexplained { canonical: body::is_canonical(case.body) }],
    };
    findings.extend((unpadded(case.secret) != case.secret).then_some(Finding::SecretPadded));
    findings.extend(time(case));
    findings
}

fn public_key(text: &str) -> Option<Vec<u8>> {
    let key = BASE64.decode(unpadded(text).strip_prefix(PUBLIC_PREFIX)?.as_bytes()).ok()?;
    (key.len() == KEY_LENGTH).then_some(key)
}

fn signatures(case: &Case<'_>) -> Vec<Vec<u8>> {
    let entries = case.header(WEBHOOK_SIGNATURE).unwrap_or_default().split_whitespace();
    let bytes = |entry: &str| BASE64.decode(entry.strip_prefix(ASYMMETRIC_PREFIX)?.as_bytes()).ok();
    entries.filter_map(bytes).collect()
}

fn is_signed(case: &Case<'_>, key: &[u8], signatures: &[Vec<u8>], body: &[u8]) -> bool {
    let header = |name: &str| case.header(name).unwrap_or_default().as_bytes();
    let content = [header(WEBHOOK_ID), b".", header(WEBHOOK_TIMESTAMP), b".", body].concat();
    let key = UnparsedPublicKey::new(&ED25519, key);
    signatures.iter().any(|signature| key.verify(&content, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;
    use crate::diagnosis::{Scheme, diagnose};
    use crate::time::Timestamp;

    const TIME: &str = "1614265330";

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn public() -> String {
        format!("{PUBLIC_PREFIX}{}", BASE64.encode(pair().public_key().as_ref()))
    }

    fn codes(key: &str, signed: &str, more: &str, body: &str, now: i64) -> Vec<&'static str> {
        let signature = pair().sign(format!("msg_1.{TIME}.{signed}").as_bytes());
        let signature = format!("{more}v1a,{}", BASE64.encode(signature.as_ref()));
        let headers = [(WEBHOOK_ID, "msg_1"), (WEBHOOK_TIMESTAMP, TIME), (WEBHOOK_SIGNATURE, &signature)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let now = Timestamp::from_secs(now);
        let case =
            Case { scheme: &Scheme::Asymmetric, secret: key, headers: &headers, body: body.as_bytes(), now };
        diagnose(&case).iter().map(Finding::code).collect()
    }

    #[test]
    fn public_keys_check_and_explain() {
        let (key, body, now) = (public(), r#"{"a": 1}"#, 1_614_265_330);
        assert!(codes(&key, body, "v1,AAAA ", body, now).is_empty());
        assert_eq!(codes(&format!("{key}\n"), body, "", body, now), ["secret-padded"]);
        assert_eq!(codes(&key, r#"{"a":1}"#, "", body, now), ["body-json-stringify"]);
        assert_eq!(codes(&key, body, "", r#"{"a":2}"#, now), ["no-match"]);
        assert_eq!(codes(&key, body, "", body, now + 301), ["timestamp-old"]);
        for other in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_AAAA", "whpk_!", ""] {
            assert_eq!(codes(other, body, "", body, now), ["public-key-form"], "{other}");
        }
        let other = format!("{PUBLIC_PREFIX}{}", BASE64.encode(&[9; 32]));
        assert_eq!(codes(&other, body, "", body, now), ["no-match"]);
    }

    #[test]
    fn a_shared_secrets_signature_is_told() {
        let headers = [(WEBHOOK_ID, "m"), (WEBHOOK_TIMESTAMP, TIME), (WEBHOOK_SIGNATURE, "v1,AAAA")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let now = Timestamp::from_secs(1_614_265_330);
        let key = public();
        let codes = |headers: &[(String, String)]| {
            let case = Case { scheme: &Scheme::Asymmetric, secret: &key, headers, body: b"{}", now };
            diagnose(&case).iter().map(Finding::code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&headers), ["symmetric"]);
        assert_eq!(codes(&headers[..1]), ["header-missing", "header-missing"]);
    }
}
