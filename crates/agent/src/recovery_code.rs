//! The printed code with which an account can be recovered: the seed of a recovery key, in letters and digits
//! that people can copy.
//!
//! It is printed once and kept nowhere: the account knows the public key that belongs to it.

use std::fmt;

use aura_crypto::{Label, SecretKey};
use zeroize::Zeroizing;

use crate::error::{AgentError, Whose};

/// Bytes that are drawn, and bytes of the checksum behind them.
const SEED_BYTES: usize = 20;
const SUM_BYTES: usize = 5;
/// Letters and digits that are hard to take for each other: no `I`, `L`, `O` and `U`.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a group.
const GROUP: usize = 5;
/// Characters of a code, without what separates the groups.
const CHARS: usize = (SEED_BYTES + SUM_BYTES) * 8 / 5;

/// A recovery code.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<[u8; SEED_BYTES]>);

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(<redacted>)")
    }
}

impl RecoveryCode {
    /// A new one.
    ///
    /// # Errors
    /// `NoRandomness` when the system has none to give.
    pub fn generate() -> Result<Self, AgentError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|error| AgentError::new("NoRandomness", error, Whose::Machine, "try again"))?;
        Ok(Self(seed))
    }

    /// The code of this seed, which the caller drew from a secure source.
    #[must_use]
    pub fn of_seed(seed: [u8; SEED_BYTES]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The code as it is printed: groups of five, with a checksum.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARS + CHARS / GROUP));
        let sum = checksum(&self.0);
        let (mut buffer, mut bits, mut count) = (0_u32, 0, 0);
        for byte in self.0.iter().chain(&sum) {
            buffer = (buffer << 8) | u32::from(*byte);
            bits += 8;
            while 5 <= bits {
                bits -= 5;
                if count != 0 && count % GROUP == 0 {
                    text.push('-');
                }
                let digit = (buffer >> bits) & 31;
                let letter = ALPHABET.get(digit as usize).copied().unwrap_or(b'0');
                text.push(char::from(letter));
                count += 1;
            }
        }
        text
    }

    /// Reads a code as a person writes it: in small or large letters, with or without separators.
    ///
    /// # Errors
    /// `BadRecoveryCode`.
    pub fn from_text(text: &str) -> Result<Self, AgentError> {
        let bad = |what: &str| {
            let next = "compare it with what was printed: groups of five letters and digits";
            AgentError::new("BadRecoveryCode", what, Whose::Caller, next)
        };
        let mut bytes = Zeroizing::new([0; SEED_BYTES + SUM_BYTES]);
        let (mut buffer, mut bits, mut count) = (0_u32, 0, 0);
        let mut into = bytes.iter_mut();
        for letter in text.chars().filter(|it| !it.is_whitespace() && *it != '-') {
            let letter = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let digit = ALPHABET.iter().position(|it| char::from(*it) == letter);
            let digit = digit.and_then(|it| u32::try_from(it).ok());
            buffer =
                (buffer << 5) | digit.ok_or_else(|| bad("a recovery code has other letters"))?;
            bits += 5;
            count += 1;
            if CHARS < count {
                return Err(bad("a recovery code is shorter"));
            }
            if 8 <= bits {
                bits -= 8;
                if let Some(byte) = into.next() {
                    *byte = (buffer >> bits).to_le_bytes()[0];
                }
            }
        }
        if count != CHARS {
            return Err(bad("a recovery code is longer"));
        }
        let (seed, sum) = bytes.split_at(SEED_BYTES);
        let seed: [u8; SEED_BYTES] = seed.try_into().unwrap_or_default();
        let code = Self(Zeroizing::new(seed));
        if checksum(&code.0) != sum {
            return Err(bad("the recovery code is mistyped: its checksum differs"));
        }
        Ok(code)
    }

    /// The key that it is the seed of.
    #[must_use]
    pub fn key(&self) -> SecretKey {
        SecretKey::from_seed(*Label::RecoveryCode.digest(&[self.0.as_slice()]).as_bytes())
    }
}

fn checksum(seed: &[u8; SEED_BYTES]) -> [u8; SUM_BYTES] {
    let sum = Label::RecoveryCodeSum.digest(&[seed.as_slice()]);
    let [a, b, c, d, e, ..] = *sum.as_bytes();
    [a, b, c, d, e]
}
