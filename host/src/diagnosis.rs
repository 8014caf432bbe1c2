//! Why a signature does not match: what is usually wrong is tried, one thing after the other, until it does.
//!
//! The shapes that are tried are those of Standard Webhooks and of a plain HMAC-SHA256 of the body: each with each
//! reading of the secret, each spelling of the digest, in each header, over each form in which the body may have been
//! before somebody wrote it anew.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::message::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::signature::TIMESTAMP_TOLERANCE_SECONDS;
use crate::time::Timestamp;

mod asymmetric;
mod body;

pub use body::BodyForm;

/// A request, and what its signature is checked against.
#[derive(Debug)]
pub struct Case<'c> {
    pub scheme: &'c Scheme,
    /// As the receiver has it: `whsec_...`, or whatever it has instead.
    pub secret: &'c str,
    pub headers: &'c [(String, String)],
    pub body: &'c [u8],
    pub now: Timestamp,
}

/// How the receiver expects requests to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    Standard,
    /// Standard Webhooks with Ed25519: the secret is a public key, `whpk_...`.
    Asymmetric,
    Plain {
        header: String,
        prefix: String,
    },
}

/// What a check comes to. It is passed where nothing is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// There is no such header, nor another one with a signature.
    HeaderMissing(String),
    /// The header holds nothing that could be a digest.
    NoDigest {
        header: String,
    },
    /// The only signatures are of Ed25519.
    Asymmetric,
    /// None of the signatures is of Ed25519.
    Symmetric,
    /// The public key is none.
    PublicKeyForm,
    /// Signed as Standard Webhooks, where a plain digest is expected, or the other way round.
    OtherScheme {
        standard: bool,
    },
    /// The digest stands in this header instead.
    OtherHeader {
        found: String,
        expected: String,
    },
    PrefixMissing {
        expected: String,
    },
    PrefixExtra {
        found: String,
    },
    PrefixOther {
        found: String,
        expected: String,
    },
    Spelling {
        found: Spelling,
        expected: Spelling,
    },
    Key(KeyForm),
    /// White space or quotes stand around the secret.
    SecretPadded,
    /// Standard Webhooks takes base64, and it is none.
    SecretForm,
    Body(BodyForm),
    TimestampUnreadable,
    /// It counts milliseconds.
    TimestampMillis,
    /// Seconds since it was sent; negative where that is to come.
    TimestampFar(i64),
    /// Nothing that was tried matches.
    Unexplained {
        canonical: bool,
    },
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Hex,
    HexUpper,
    Base64,
    Base64Url,
}

/// Which reading of a secret is the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Its text, `whsec_` and all.
    Text,
    /// The bytes that its base64 says, without `whsec_`.
    Decoded,
    /// Its text without `whsec_`.
    Unprefixed,
    /// The bytes that its hex says.
    Hex,
}

/// What is wrong with a request's signature, the gravest first; nothing where it is valid.
pub fn diagnose(case: &Case<'_>) -> Vec<Finding> {
    if *case.scheme == Scheme::Asymmetric {
        return asymmetric::diagnose(case);
    }
    let digests = digests(case);
    if digests.is_empty() {
        return nothing_given(case);
    }
    let mut findings = match explained(case, &digests) {
        Some(found) => case.scheme.differences(&found, case.secret),
        None => unexplained(case),
    };
    if findings.iter().all(|finding| !matches!(finding, Finding::OtherScheme { .. })) {
        findings.extend(time(case));
    }
    findings
}

/// A digest in a header.
#[derive(Debug, Clone)]
struct Digest<'c> {
    header: &'c str,
    prefix: &'c str,
    spelling: Spelling,
    bytes: Vec<u8>,
}

/// What makes a signature match.
#[derive(Debug)]
struct Explanation<'c> {
    digest: Digest<'c>,
    standard: bool,
    key: KeyForm,
    body: BodyForm,
}

const SECRET_PREFIX: &str = "whsec_";
const STANDARD_PREFIX: &str = "v1,";
const ASYMMETRIC_PREFIX: &str = "v1a,";
/// What stands behind the name of a plain scheme's header while a rotation lasts.
const NEXT: &str = "-Next";
const DIGEST_LENGTH: usize = 32;
/// Later than any time in seconds that a request is sent at, and earlier than one in milliseconds.
const MILLIS_FROM: i64 = 100_000_000_000;

impl Case<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Scheme {
    fn header(&self) -> &str {
        match self {
            Scheme::Standard | Scheme::Asymmetric => WEBHOOK_SIGNATURE,
            Scheme::Plain { header, .. } => header,
        }
    }

    fn prefix(&self) -> &str {
        match self {
            Scheme::Standard => STANDARD_PREFIX,
            Scheme::Asymmetric => ASYMMETRIC_PREFIX,
            Scheme::Plain { prefix, .. } => prefix,
        }
    }

    fn spelling(&self) -> Spelling {
        match self {
            Scheme::Standard | Scheme::Asymmetric => Spelling::Base64,
            Scheme::Plain { .. } => Spelling::Hex,
        }
    }

    fn key(&self) -> KeyForm {
        match self {
            Scheme::Standard | Scheme::Asymmetric => KeyForm::Decoded,
            Scheme::Plain { .. } => KeyForm::Text,
        }
    }

    /// What a receiver that checks by this scheme has to change.
    fn differences(&self, found: &Explanation<'_>, secret: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if found.standard != matches!(self, Scheme::Standard) {
            findings.push(Finding::OtherScheme { standard: found.standard });
        } else {
            findings.extend(self.differences_of_form(&found.digest));
            findings.extend((found.key != self.key()).then_some(Finding::Key(found.key)));
        }
        findings.extend((unpadded(secret) != secret).then_some(Finding::SecretPadded));
        findings.extend((found.body != BodyForm::AsIs).then_some(Finding::Body(found.body)));
        findings
    }

    fn differences_of_form(&self, digest: &Digest<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !digest.header.eq_ignore_ascii_case(self.header()) {
            let (found, expected) = (digest.header.to_owned(), self.header().to_owned());
            findings.push(Finding::OtherHeader { found, expected });
        }
        let (found, expected) = (digest.prefix.to_owned(), self.prefix().to_owned());
        match (found.is_empty(), expected.is_empty()) {
            _ if found == expected => {}
            (true, _) => findings.push(Finding::PrefixMissing { expected }),
            (_, true) => findings.push(Finding::PrefixExtra { found }),
            _ => findings.push(Finding::PrefixOther { found, expected }),
        }
        if digest.spelling != self.spelling() {
            findings.push(Finding::Spelling { found: digest.spelling, expected: self.spelling() });
        }
        findings
    }
}

/// The digests in all headers that may hold one, those in the expected header first.
fn digests<'c>(case: &'c Case<'_>) -> Vec<Digest<'c>> {
    let expected = |name: &str| name.eq_ignore_ascii_case(case.scheme.header());
    let likely = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["sign", "hmac", "digest", "hash"].iter().any(|part| name.contains(part))
    };
    let first = case.headers.iter().filter(|(name, _)| expected(name));
    let rest = case.headers.iter().filter(|(name, _)| !expected(name) && likely(name));
    first
        .chain(rest)
        .flat_map(|(name, value)| tokens(value).filter_map(|token| digest(name, token)))
        .collect()
}

/// The parts of a header's value that may be a digest with a prefix.
fn tokens(value: &str) -> impl Iterator<Item = &str> {
    value.split_whitespace().flat_map(|token| {
        let parts = token.split(',').filter(move |part| *part != token);
        std::iter::once(token).chain(parts)
    })
}

/// Reads a spelling of bytes.
type Reader = fn(&str) -> Option<(Spelling, Vec<u8>)>;

/// A digest is what stands at the end, as long as a digest is.
fn digest<'c>(header: &'c str, token: &'c str) -> Option<Digest<'c>> {
    let spelled = |length: usize, read: Reader| {
        let (prefix, text) = token.split_at_checked(token.len().checked_sub(length)?)?;
        let (spelling, bytes) = read(text).filter(|(_, bytes)| bytes.len() == DIGEST_LENGTH)?;
        Some(Digest { header, prefix, spelling, bytes })
    };
    spelled(64, hex).or_else(|| spelled(44, base64)).or_else(|| spelled(43, base64))
}

fn hex(text: &str) -> Option<(Spelling, Vec<u8>)> {
    let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let spelling = if upper { Spelling::HexUpper } else { Spelling::Hex };
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().map(|bytes| (spelling, bytes))
}

fn base64(text: &str) -> Option<(Spelling, Vec<u8>)> {
    let text = text.as_bytes();
    let usual = BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text));
    let safe = || BASE64URL.decode(text).or_else(|_| BASE64URL_NOPAD.decode(text));
    match usual {
        Ok(bytes) => Some((Spelling::Base64, bytes)),
        Err(_) => safe().ok().map(|bytes| (Spelling::Base64Url, bytes)),
    }
}

/// The first explanation, from the least that would be wrong to the most.
fn explained<'c>(case: &'c Case<'_>, digests: &[Digest<'c>]) -> Option<Explanation<'c>> {
    let keys = keys(case);
    for form in BodyForm::ALL {
        let Some(body) = form.of(case.body) else { continue };
        for (key, bytes) in &keys {
            for standard in
                [matches!(case.scheme, Scheme::Standard), !matches!(case.scheme, Scheme::Standard)]
            {
                let Some(mac) = mac(case, bytes, standard, &body) else { continue };
                let matches = |digest: &&Digest<'_>| mac.clone().verify_slice(&digest.bytes).is_ok();
                if let Some(digest) = digests.iter().find(matches) {
                    return Some(Explanation { digest: digest.clone(), standard, key: *key, body: form });
                }
            }
        }
    }
    None
}

/// The readings of the secret, the expected one first.
fn keys(case: &Case<'_>) -> Vec<(KeyForm, Vec<u8>)> {
    let text = unpadded(case.secret);
    let bare = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    let mut keys = vec![(KeyForm::Text, text.as_bytes().to_vec())];
    keys.extend(base64(bare).map(|(_, bytes)| (KeyForm::Decoded, bytes)));
    if bare != text {
        keys.push((KeyForm::Unprefixed, bare.as_bytes().to_vec()));
    }
    keys.extend(HEXLOWER_PERMISSIVE.decode(bare.as_bytes()).ok().map(|bytes| (KeyForm::Hex, bytes)));
    keys.sort_by_key(|(form, _)| *form != case.scheme.key());
    keys
}

fn unpadded(secret: &str) -> &str {
    secret.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
}

/// `None` where the request says nothing that could have been signed so.
fn mac(case: &Case<'_>, key: &[u8], standard: bool, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    if standard {
        let (id, timestamp) = (case.header(WEBHOOK_ID)?, case.header(WEBHOOK_TIMESTAMP)?);
        for part in [id, ".", timestamp, "."] {
            mac.update(part.as_bytes());
        }
    }
    mac.update(body);
    Some(mac)
}

fn nothing_given(case: &Case<'_>) -> Vec<Finding> {
    let header = case.scheme.header().to_owned();
    vec![match case.header(&header) {
        None => Finding::HeaderMissing(header),
        Some(value) if value.split_whitespace().any(|token| token.starts_with(ASYMMETRIC_PREFIX)) => {
            Finding::Asymmetric
        }
        Some(_) => Finding::NoDigest { header },
    }]
}

fn unexplained(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if *case.scheme == Scheme::Standard {
        let missing = [WEBHOOK_ID, WEBHOOK_TIMESTAMP].into_iter().filter(|name| case.header(name).is_none());
        findings.extend(missing.map(|name| Finding::HeaderMissing(name.to_owned())));
        let bare = unpadded(case.secret);
        if base64(bare.strip_prefix(SECRET_PREFIX).unwrap_or(bare)).is_none() {
            findings.push(Finding::SecretForm);
        }
    }
    if findings.is_empty() {
        findings.push(Finding::Unexplained { canonical: body::is_canonical(case.body) });
    }
    findings
}

/// Only Standard Webhooks says when a request was sent.
fn time(case: &Case<'_>) -> Option<Finding> {
    let sent = case.header(WEBHOOK_TIMESTAMP).filter(|_| !matches!(case.scheme, Scheme::Plain { .. }))?;
    let Ok(sent) = sent.parse::<i64>() else { return Some(Finding::TimestampUnreadable) };
    if sent.abs() >= MILLIS_FROM {
        return Some(Finding::TimestampMillis);
    }
    let age = case.now.as_secs().saturating_sub(sent);
    (age.saturating_abs() > TIMESTAMP_TOLERANCE_SECONDS).then_some(Finding::TimestampFar(age))
}

impl Finding {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Finding::HeaderMissing(_) => "header-missing",
            Finding::NoDigest { .. } => "no-digest",
            Finding::Asymmetric => "asymmetric",
            Finding::Symmetric => "symmetric",
            Finding::PublicKeyForm => "public-key-form",
            Finding::OtherScheme { .. } => "other-scheme",
            Finding::OtherHeader { found, expected } if is_next(found, expected) => "rotation",
            Finding::OtherHeader { .. } => "other-header",
            Finding::PrefixMissing { .. } => "prefix-missing",
            Finding::PrefixExtra { .. } => "prefix-extra",
            Finding::PrefixOther { .. } => "prefix-other",
            Finding::Spelling { .. } => "spelling",
            Finding::Key(KeyForm::Text) => "secret-not-decoded",
            Finding::Key(KeyForm::Decoded) => "secret-decoded",
            Finding::Key(KeyForm::Unprefixed) => "secret-without-prefix",
            Finding::Key(KeyForm::Hex) => "secret-hex",
            Finding::SecretPadded => "secret-padded",
            Finding::SecretForm => "secret-form",
            Finding::Body(form) => form.code(),
            Finding::TimestampUnreadable => "timestamp-unreadable",
            Finding::TimestampMillis => "timestamp-millis",
            Finding::TimestampFar(age) if *age < 0 => "timestamp-ahead",
            Finding::TimestampFar(_) => "timestamp-old",
            Finding::Unexplained { .. } => "no-match",
        }
    }

    /// What would mend it.
    pub fn hint(&self) -> String {
        match self {
            Finding::HeaderMissing(_) => "give all headers of the request; a proxy may have taken some away",
            Finding::NoDigest { .. } => "give the header's whole value, as it arrived",
            Finding::Asymmetric => "check it with the endpoint's public key",
            Finding::Symmetric => "check with `--scheme standard` and the shared secret",
            Finding::PublicKeyForm => "give the endpoint's public key: `whpk_` and base64",
            Finding::OtherScheme { standard: true } => "check with `--scheme standard`, or change the endpoint's `signature`",
            Finding::OtherScheme { standard: false } => {
                "check with `--scheme hmac:HEADER:PREFIX`, or change the endpoint's `signature`"
            }
            Finding::OtherHeader { found, expected } if is_next(found, expected) => {
                return format!(
                    "this is the endpoint's new secret, and the old one still signs in `{expected}`: promote the new one, \
                     or read `{found}` meanwhile"
                );
            }
            Finding::OtherHeader { found, .. } => return format!("read the header `{found}`"),
            Finding::PrefixMissing { .. } => "compare with the digits alone, or set the endpoint's `signature.prefix`",
            Finding::PrefixExtra { found } => return format!("take `{found}` away before you compare"),
            Finding::PrefixOther { found, .. } => return format!("compare with `{found}` before the digest"),
            Finding::Spelling { found, .. } => return format!("compare with the digest in {found}"),
            Finding::Key(KeyForm::Text) => "use the secret's text as the key, `whsec_` included, and decode nothing",
            Finding::Key(KeyForm::Decoded) => "take `whsec_` away and decode the rest from base64: these bytes are the key",
            Finding::Key(KeyForm::Unprefixed) => "take `whsec_` away: the text behind it is the key",
            Finding::Key(KeyForm::Hex) => "decode the secret from hex: these bytes are the key",
            Finding::SecretPadded => "remove them, for example from the end of the file that it is read from",
            Finding::SecretForm => "give it as it was shown: `whsec_` and base64",
            Finding::Body(form) => return form.hint().to_owned(),
            Finding::TimestampUnreadable => "it has to be whole seconds since 1970",
            Finding::TimestampMillis => "divide it by 1,000 where it is written",
            Finding::TimestampFar(age) if *age < 0 => "set this machine's clock, or say with `--at` when it arrived",
            Finding::TimestampFar(_) => {
                "is it a replay, or is this machine's clock wrong? Say with `--at` when it arrived"
            }
            Finding::Unexplained { canonical: true } => {
                "is it this endpoint's secret? And the body is just what JSON.stringify writes: where it was parsed and \
                 written again before the check, what was signed is gone. Check the bytes that arrived, or set \
                 `\"body\":\"ecmascript\"` on the endpoint"
            }
            Finding::Unexplained { canonical: false } => {
                "is it this endpoint's secret, as it is since the last rotation? Are these the bytes that arrived, before \
                 anything parsed or logged them?"
            }
        }
        .to_owned()
    }
}

/// Whether a header is the one in which a new secret signs while the old one is still in use.
fn is_next(found: &str, expected: &str) -> bool {
    found.get(..expected.len()).is_some_and(|start| start.eq_ignore_ascii_case(expected))
        && found[expected.len()..].eq_ignore_ascii_case(NEXT)
}

/// A sentence without its full stop.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::HeaderMissing(header) => write!(f, "the request has no `{header}` header"),
            Finding::NoDigest { header } => write!(f, "`{header}` holds no digest of SHA-256"),
            Finding::Asymmetric => {
                f.write_str("it is signed with Ed25519 (`v1a`), which no shared secret can check")
            }
            Finding::Symmetric => f.write_str("it is signed with a shared secret (`v1`), not with Ed25519"),
            Finding::PublicKeyForm => f.write_str("the key is no public key"),
            Finding::OtherScheme { standard: true } => {
                write!(f, "it is signed as Standard Webhooks, in `{WEBHOOK_SIGNATURE}`")
            }
            Finding::OtherScheme { standard: false } => {
                f.write_str("it is signed over the body alone, not as Standard Webhooks")
            }
            Finding::OtherHeader { found, expected } => {
                write!(f, "the signature stands in `{found}`, not in `{expected}`")
            }
            Finding::PrefixMissing { expected } => write!(f, "the digest stands there without `{expected}`"),
            Finding::PrefixExtra { found } => write!(f, "`{found}` stands before the digest"),
            Finding::PrefixOther { found, expected } => {
                write!(f, "`{found}` stands before the digest, not `{expected}`")
            }
            Finding::Spelling { found, expected } => {
                write!(f, "the digest is written in {found}, not in {expected}")
            }
            Finding::Key(KeyForm::Text) => {
                f.write_str("the key is the secret's text, not what its base64 says")
            }
            Finding::Key(KeyForm::Decoded) => {
                f.write_str("the key is what the secret's base64 says, not its text")
            }
            Finding::Key(KeyForm::Unprefixed) => f.write_str("the key is the secret's text without `whsec_`"),
            Finding::Key(KeyForm::Hex) => f.write_str("the key is what the secret's hex says, not its text"),
            Finding::SecretPadded => f.write_str("white space or quotes stand around the secret"),
            Finding::SecretForm => f.write_str("the secret is not `whsec_` and base64"),
            Finding::Body(form) => write!(f, "the signature is over {form}, and the body is not that"),
            Finding::TimestampUnreadable => write!(f, "`{WEBHOOK_TIMESTAMP}` is not a number of seconds"),
            Finding::TimestampMillis => write!(f, "`{WEBHOOK_TIMESTAMP}` counts milliseconds"),
            Finding::TimestampFar(age) => {
                let (seconds, word) = (age.saturating_abs(), if *age < 0 { "ahead" } else { "old" });
                write!(f, "it is {seconds} seconds {word}; {TIMESTAMP_TOLERANCE_SECONDS} are allowed")
            }
            Finding::Unexplained { .. } => {
                f.write_str("no signature matches the body and the secret, however they are read")
            }
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spelling::Hex => "lower-case hex",
            Spelling::HexUpper => "upper-case hex",
            Spelling::Base64 => "base64",
            Spelling::Base64Url => "base64 for URLs",
        })
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{HEXLOWER, HEXUPPER};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: Timestamp = Timestamp::from_secs(1_614_265_330);
    const BODY: &str = r#"{"test": 2432232314}"#;
    /// Known answers of the reference libraries of Standard Webhooks, and of OpenSSL.
    const STANDARD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const PLAIN: &str = "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c";

    fn plain(prefix: &str) -> Scheme {
        Scheme::Plain { header: "X-Signature".into(), prefix: prefix.into() }
    }

    fn codes(scheme: &Scheme, secret: &str, headers: &[(&str, &str)], body: &str) -> Vec<&'static str> {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let case = Case { scheme, secret, headers: &headers, body: body.as_bytes(), now: NOW };
        let findings = diagnose(&case);
        for finding in &findings {
            assert!(!finding.to_string().is_empty() && !finding.hint().is_empty(), "{finding:?}");
        }
        findings.iter().map(Finding::code).collect()
    }

    fn standard(secret: &str, signature: &str, body: &str) -> Vec<&'static str> {
        let headers = [
            ("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("Webhook-Timestamp", "1614265330"),
            ("Webhook-Signature", signature),
        ];
        codes(&Scheme::Standard, secret, &headers, body)
    }

    fn tag(key: &[u8], body: &str) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(body.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    #[test]
    fn what_is_right_is_found_right() {
        assert!(standard(SECRET, STANDARD, BODY).is_empty());
        assert!(standard(&SECRET[6..], &format!("v1,AAAA v1a,BBBB {STANDARD}"), BODY).is_empty());
        assert!(codes(&plain(""), SECRET, &[("x-signature", PLAIN)], BODY).is_empty());
        let prefixed = format!("sha256={PLAIN}");
        assert!(codes(&plain("sha256="), SECRET, &[("X-SIGNATURE", &prefixed)], BODY).is_empty());
        let own = HEXLOWER.encode(&tag(b"a secret of my own", BODY));
        assert!(codes(&plain(""), "a secret of my own", &[("x-signature", &own)], BODY).is_empty());
    }

    #[test]
    fn spellings_prefixes_and_headers() {
        let raw = tag(SECRET.as_bytes(), BODY);
        let table: [(&str, &str, String, &[&str]); 10] = [
            ("sha256=", "X-Signature", PLAIN.to_owned(), &["prefix-missing"]),
            ("", "X-Signature", format!("sha256={PLAIN}"), &["prefix-extra"]),
            ("sha256=", "X-Signature", format!("v1={PLAIN}"), &["prefix-other"]),
            ("", "X-Signature", HEXUPPER.encode(&raw), &["spelling"]),
            ("", "X-Signature", BASE64.encode(&raw), &["spelling"]),
            ("", "X-Signature", BASE64URL_NOPAD.encode(&raw), &["spelling"]),
            ("", "X-Hub-Signature-256", PLAIN.to_owned(), &["other-header"]),
            ("", "x-signature-next", PLAIN.to_owned(), &["rotation"]),
            ("", "X-Hub-Signature-256", format!("t=1,v1={PLAIN}"), &["other-header", "prefix-extra"]),
            ("sha256=", "X-Signature", BASE64.encode(&raw), &["prefix-missing", "spelling"]),
        ];
        for (prefix, header, value, expected) in table {
            assert_eq!(
                codes(&plain(prefix), SECRET, &[(header, &value)], BODY),
                expected,
                "{header}: {value}"
            );
        }
    }

    #[test]
    fn secrets() {
        let signed = |key: &[u8]| HEXLOWER.encode(&tag(key, BODY));
        let bare = &SECRET[6..];
        let decoded = BASE64.decode(bare.as_bytes()).unwrap();
        for (secret, value, expected) in [
            (SECRET, signed(&decoded), &["secret-decoded"][..]),
            (SECRET, signed(bare.as_bytes()), &["secret-without-prefix"]),
            ("00ff00ff00ff", signed(&[0, 255, 0, 255, 0, 255]), &["secret-hex"]),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", PLAIN.to_owned(), &["secret-padded"]),
            ("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", PLAIN.to_owned(), &["no-match"]),
        ] {
            assert_eq!(codes(&plain(""), secret, &[("x-signature", &value)], BODY), expected, "{secret}");
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{BODY}").as_bytes());
        let by_text = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
        assert_eq!(standard(SECRET, &by_text, BODY), ["secret-not-decoded"]);
        assert_eq!(standard("\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", STANDARD, BODY), ["secret-padded"]);
        assert_eq!(standard("swordfish!", STANDARD, BODY), ["secret-form"]);
    }

    #[test]
    fn bodies() {
        let raw = "{ \"b\": 1.0, \"1\": \"\\u00e9\" }";
        let table = [
            (raw, r#"{"1":"é","b":1}"#, "body-json-stringify"),
            (raw, r#"{"b":1.0,"1":"\u00e9"}"#, "body-compact"),
            (
                r#"{"b":[1,{}],"a":"x, y"}"#,
                "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"x, y\"\n}",
                "body-indented",
            ),
            (r#"{"b":[1]}"#, "{\n    \"b\": [\n        1\n    ]\n}", "body-indented"),
            (r#"{"b":[1,2],"a":"é"}"#, "{\"b\": [1, 2], \"a\": \"é\"}", "body-spaced"),
            (r#"{"b":[1,2],"a":"é😀"}"#, r#"{"b": [1, 2], "a": "\u00e9\ud83d\ude00"}"#, "body-spaced"),
            (r#"{"b":"é"}"#, r#"{"b":"\u00e9"}"#, "body-escaped"),
            ("{}", "{}\n", "body-newline-lost"),
            ("{}\n", "{}", "body-newline-added"),
            ("a\r\nb", "a\nb", "body-line-ends"),
            ("a\nb", "a\r\nb", "body-line-ends"),
            ("\u{feff}{}", "{}", "body-bom"),
            ("{\"a\":1}", "", "body-empty"),
        ];
        for (body, signed, expected) in table {
            let value = HEXLOWER.encode(&tag(SECRET.as_bytes(), signed));
            assert_eq!(codes(&plain(""), SECRET, &[("x-signature", &value)], body), [expected], "{signed:?}");
        }
        // Two things wrong at once.
        let value = format!("sha256={}", HEXLOWER.encode(&tag(&SECRET.as_bytes()[6..], "{\"a\":1}")));
        let found = codes(&plain(""), SECRET, &[("x-signature", &value)], "{ \"a\": 1 }");
        assert_eq!(found, ["prefix-extra", "secret-without-prefix", "body-json-stringify"]);
    }

    #[test]
    fn times_and_schemes() {
        let at = |timestamp: &str| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&BASE64.decode(&SECRET.as_bytes()[6..]).unwrap()).unwrap();
            mac.update(format!("msg_1.{timestamp}.{BODY}").as_bytes());
            let signature = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
            let headers = [
                ("webhook-id", "msg_1"),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", &signature),
            ];
            codes(&Scheme::Standard, SECRET, &headers, BODY)
        };
        assert!(at("1614265030").is_empty() && at("1614265630").is_empty());
        assert_eq!(at("1614265029"), ["timestamp-old"]);
        assert_eq!(at("1614265631"), ["timestamp-ahead"]);
        assert_eq!(at("1614265330000"), ["timestamp-millis"]);
        assert_eq!(at("noon"), ["timestamp-unreadable"]);

        assert_eq!(codes(&Scheme::Standard, SECRET, &[("x-signature", PLAIN)], BODY), ["other-scheme"]);
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", STANDARD),
        ];
        assert_eq!(codes(&plain(""), SECRET, &headers, BODY), ["other-scheme"]);
        assert_eq!(codes(&Scheme::Standard, SECRET, &headers[1..], BODY), ["header-missing"]);
        assert_eq!(codes(&Scheme::Standard, SECRET, &headers[..2], BODY), ["header-missing"]);
        assert_eq!(codes(&plain(""), SECRET, &[("content-type", "x")], BODY), ["header-missing"]);
        assert_eq!(codes(&plain(""), SECRET, &[("x-signature", "80ec8a89")], BODY), ["no-digest"]);
        let asymmetric = format!("v1a,{}", BASE64.encode(&[7; 64]));
        assert_eq!(standard(SECRET, &asymmetric, BODY), ["asymmetric"]);
    }

    #[test]
    fn a_body_that_was_perhaps_written_again_is_told() {
        let hint = |body: &str| {
            let headers = [("x-signature".to_owned(), "0".repeat(64))];
            let case = Case {
                scheme: &plain(""),
                secret: SECRET,
                headers: &headers,
                body: body.as_bytes(),
                now: NOW,
            };
            diagnose(&case)[0].hint()
        };
        assert!(hint(r#"{"a":1}"#).contains("ecmascript"));
        assert!(!hint(r#"{"a": 1}"#).contains("ecmascript"));
        assert!(!hint("not JSON").contains("ecmascript"));
    }
}
