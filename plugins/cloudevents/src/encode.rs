//! Values as headers, URIs and JSON carry them.

/// For a `ce-` header: what is not printable ASCII, and space, quote and percent, as bytes of UTF-8 in hex.
pub(crate) fn header(text: &str) -> String {
    percent(text, |byte| matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%')
}

/// A URI reference: what no URI may have in it is encoded, and what is encoded already stays.
pub(crate) fn uri(text: &str) -> String {
    percent(text, |byte| matches!(byte, 0x21..=0x7e) && !b"\"<>\\^`{|}".contains(&byte))
}

/// `application/json` and everything that ends in `+json`.
pub(crate) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// RFC 4648, section 4.
pub(crate) fn base64(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sixth = (bits >> (18 - 6 * place)) & 63;
            match place <= group.len() {
                true => out.push(char::from(ALPHABET[sixth as usize])),
                false => out.push('='),
            }
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn percent(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_bytes() {
        let table: [(&[u8], &str); 5] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foobar\xff", "Zm9vYmFy/w==")];
        for (bytes, expected) in table {
            let mut out = String::new();
            base64(bytes, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn encodes_uris_once() {
        let table =
            [("/a b", "/a%20b"), ("/a%20b?x=1#é", "/a%20b?x=1#%C3%A9"), ("urn:x:\"<>", "urn:x:%22%3C%3E")];
        for (text, expected) in table {
            assert_eq!(uri(text), expected);
            assert_eq!(uri(&uri(text)), expected);
        }
    }
}
