//! Hexadecimal digits as constants, because BLAKE3 does not run at compile time.
//!
//! A guest writes its schema id as text and has a test compare it with
//! [`SchemaId::of`](aura_protocol_core::SchemaId::of) the schema's text.

/// The 32 bytes that 64 hexadecimal digits stand for.
///
/// # Panics
/// At compile time, when used for a constant as it is meant to be: if `text` is anything else.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "the length is checked, and it runs at compile time")]
pub const fn bytes32(text: &str) -> [u8; 32] {
    let digits = text.as_bytes();
    assert!(digits.len() == 64, "expected 64 hexadecimal digits");
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 32 {
        bytes[index] = nibble(digits[2 * index]) << 4 | nibble(digits[2 * index + 1]);
        index += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    assert!(digit.is_ascii_hexdigit(), "expected a hexadecimal digit");
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 32] =
        bytes32("00017f80ffFEabCD0000000000000000000000000000000000000000000000ff");

    #[test]
    fn digits_become_bytes() {
        assert_eq!(BYTES[..8], [0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, 0xab, 0xcd]);
        assert_eq!(BYTES[31], 0xff);
    }
}
