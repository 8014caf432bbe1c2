//! The same question for signatures that are checked with a public key: there is less to get wrong.

use super::{BodyForm, Finding, body};
use crate::secret::{PublicKey, VerifyingKey};
use crate::signature::{SignatureError, SignatureScheme, verify};
use crate::time::Timestamp;

/// As [`super::diagnose`], for [`SignatureScheme::StandardAsymmetric`].
pub fn diagnose_asymmetric(
    key: PublicKey,
    headers: &[(String, String)],
    body: &[u8],
    now: Timestamp,
) -> Vec<Finding> {
    let header = |name: &str| {
        let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let key = VerifyingKey::Public(key);
    let check = |body: &[u8]| verify(&SignatureScheme::StandardAsymmetric, &key, header, now, body);
    match check(body) {
        Ok(()) => Vec::new(),
        Err(SignatureError::Missing(header)) => vec![Finding::HeaderMissing(header)],
        Err(SignatureError::BadTimestamp) => vec![Finding::TimestampUnreadable],
        Err(SignatureError::Stale(_)) => super::time_of(header, now).into_iter().collect(),
        Err(SignatureError::Mismatch(_)) => {
            let matches = |form: &BodyForm| form.of(body).is_some_and(|body| check(&body).is_ok());
            let form = BodyForm::ALL.into_iter().find(matches);
            let unexplained = Finding::Unexplained { canonical: body::is_canonical(body) };
            vec![form.map_or(unexplained, Finding::Body)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign;

    const NOW: Timestamp = Timestamp::from_secs(1_614_265_330);
    const BODY: &str = r#"{ "n": 1 }"#;

    #[test]
    fn what_is_wrong_is_found() {
        let scheme = SignatureScheme::StandardAsymmetric;
        let secret = scheme.new_secret([7; 32]);
        let (key, other) = (secret.public_key().unwrap(), scheme.new_secret([8; 32]).public_key().unwrap());
        let mut headers = sign(&scheme, &secret.into(), "msg_1", NOW, BODY.as_bytes());
        headers.push(("Webhook-Id".into(), "msg_1".into()));
        let far = NOW.plus(std::time::Duration::from_secs(301));
        let codes = |key, headers: &[(String, String)], body: &str, now| -> Vec<&str> {
            let findings = diagnose_asymmetric(key, headers, body.as_bytes(), now);
            findings.iter().map(Finding::code).collect()
        };
        assert_eq!(codes(key, &headers, BODY, NOW), [""; 0]);
        assert_eq!(codes(key, &headers, &format!("{BODY}\n"), NOW), ["body-newline-added"]);
        assert_eq!(codes(other, &headers, BODY, NOW), ["no-match"]);
        assert_eq!(codes(key, &headers, BODY, far), ["timestamp-old"]);
        assert_eq!(codes(key, &[], BODY, NOW), ["header-missing"]);
    }
}
