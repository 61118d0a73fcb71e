//! Printed once, a recovery code has to be read for ever.

use aura_agent::recovery_code::RecoveryCode;

const STORED: &str = "";
const STORED_KEY: &str = "";

fn code(byte: u8) -> RecoveryCode {
    RecoveryCode::of_seed([byte; 20])
}

fn refused(text: &str) -> String {
    RecoveryCode::from_text(text).unwrap_err().code
}

#[test]
fn a_code_is_read_as_it_was_printed() {
    let text = code(7).to_text();
    let key: String =
        code(7).key().public().as_bytes().iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!((text.as_str(), key.as_str()), (STORED, STORED_KEY));
    let wrong = text.replace('0', "o").replace('1', "l");
    for written in [text.to_lowercase(), text.replace('-', " "), text.replace('-', ""), wrong] {
        assert_eq!(RecoveryCode::from_text(&written), Ok(code(7)), "{written}");
    }
    for byte in 0..=255 {
        assert_eq!(RecoveryCode::from_text(&code(byte).to_text()), Ok(code(byte)));
    }
    assert_eq!(format!("{:?}", code(7)), "RecoveryCode(<redacted>)");
    assert_ne!(RecoveryCode::generate(), RecoveryCode::generate());
}

#[test]
fn a_mistyped_code_is_noticed() {
    let text = code(7).to_text();
    for at in 0..text.len() {
        let mut typed: Vec<char> = text.chars().collect();
        if typed[at] != '-' {
            typed[at] = if typed[at] == 'Z' { 'Y' } else { 'Z' };
            assert_eq!(refused(&typed.iter().collect::<String>()), "BadRecoveryCode", "{at}");
        }
    }
    let longer = format!("{}0", text.as_str());
    for other in ["", "hello", &text[1..], &longer, &"U".repeat(40)] {
        assert_eq!(refused(other), "BadRecoveryCode", "{other}");
    }
}
