//! Text that others chose, made fit to be shown.

/// `text` without control characters and without those that reverse or hide what stands around them,
/// cut to `bytes_max` bytes. A log line or a terminal must not obey a peer.
#[must_use]
pub fn printable(text: &str, bytes_max: usize) -> String {
    let mut shown = String::new();
    for symbol in text.chars() {
        let symbol = if symbol == '\n' || symbol == '\t' { ' ' } else { symbol };
        if symbol.is_control() || is_invisible(symbol) {
            continue;
        }
        if bytes_max < shown.len() + symbol.len_utf8() {
            break;
        }
        shown.push(symbol);
    }
    shown
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |it: u8| char::from(it).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Zero-width characters, line separators, and those that change the direction of writing.
const fn is_invisible(symbol: char) -> bool {
    matches!(symbol,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        assert_eq!(printable(text, 16), shown);
    }

    #[test]
    fn nothing_commands_a_terminal() {
        check("bob's phone", "bob's phone");
        check("a\u{1b}[2Jb\u{7}", "a[2Jb");
        check("a\nb\tc\rd", "a b cd");
        check("ab\u{202e}cd\u{2066}\u{200b}", "abcd");
        check("\u{9b}31m", "31m");
        check("gr\u{fc}ezi", "gr\u{fc}ezi");
    }

    #[test]
    fn digits_are_two_a_byte() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(&[0, 0x1f, 0xa0]), "001fa0");
        assert_eq!(unhex(&hex(&all)), Some(all));
        for none in ["0", "0g", "+1", "0\u{fc}"] {
            assert_eq!(unhex(none), None, "{none}");
        }
    }

    #[test]
    fn nothing_is_longer_than_it_may_be() {
        check(&"x".repeat(100), &"x".repeat(16));
        check(&"\u{fc}".repeat(100), &"\u{fc}".repeat(8));
        check(&format!("{}\u{fc}", "x".repeat(15)), &"x".repeat(15));
    }
}
