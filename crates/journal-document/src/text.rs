//! Bytes as people read them: as text where they are text, else in hexadecimal. No two differ in bytes
//! and look alike.

/// What stands before hexadecimal digits. Text that begins with it is shown in hexadecimal too.
pub(crate) const HEX_PREFIX: &str = "0x";

/// The text that these bytes are, if people can read it.
pub(crate) fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |it: char| !it.is_control() || it == '\n' || it == '\t';
    (!text.starts_with(HEX_PREFIX) && text.chars().all(plain)).then_some(text)
}

/// The bytes as text, or as `0x` and hexadecimal digits.
pub(crate) fn shown(bytes: &[u8]) -> String {
    readable(bytes).map_or_else(|| hex(bytes), ToOwned::to_owned)
}

/// `0x` and hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    digits(HEX_PREFIX, bytes)
}

/// An id as it is always shown. Ids are most of what is compiled, and formatting them one byte after the
/// other would take a fifth of the time.
pub(crate) fn id(bytes: &[u8; 32]) -> String {
    digits("", bytes)
}

fn digits(prefix: &str, bytes: &[u8]) -> String {
    let length = bytes.len().saturating_mul(2).saturating_add(prefix.len());
    let mut text = String::with_capacity(length);
    text.push_str(prefix);
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or_default();
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// These, with a comma between two.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn text_is_text_and_the_rest_is_hexadecimal() {
        assert_eq!(shown(b"caf\xc3\xa9 \n\t"), "café \n\t");
        assert_eq!(shown(b"\xff\x00"), "0xff00");
        assert_eq!(shown(b"a\0"), "0x6100");
        assert_eq!(shown(b""), "");
        assert_eq!(shown(b"0xff"), "0x30786666");
    }

    #[test]
    fn ids_look_as_they_do_everywhere() {
        let digest = aura_protocol_core::Digest::of(b"any");
        assert_eq!(id(digest.as_bytes()), digest.to_string());
        assert_eq!(id(&[0x0a; 32]), "0a".repeat(32));
    }

    #[test]
    fn no_two_look_alike() {
        let all = [&b"a"[..], b"0x61", b"0x", b"", b"\x61\xff", b"0x61ff", b"\0", b"0x00"];
        let looks: BTreeSet<String> = all.iter().map(|it| shown(it)).collect();
        assert_eq!(looks.len(), all.len());
    }
}
