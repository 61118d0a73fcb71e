//! Invitations: what a new device needs to join an account, as one line of text.
//!
//! A ticket names account, generation, height and head, so that a fresh device cannot be led onto a
//! fork that an old quorum made; and it holds a secret that can be used once.

use aura_protocol_core::{AccountId, Digest, UnixTime, decode, encode};
use aura_transport::PeerAddr;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    error::{AgentError, Whose},
    text::{hex, unhex},
};

/// What every ticket's text begins with.
const PREFIX: &str = "aura-ticket-1-";
/// Largest encoded ticket, in bytes.
const TICKET_BYTES_MAX: usize = 1024;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ticket {
    /// Which account.
    pub account: AccountId,
    /// The generation of its chain.
    pub generation: u64,
    /// The height of the chain when the invitation was made.
    pub k: u64,
    /// The head at that height.
    pub head: Digest,
    /// The device that invites, and where it can be reached.
    pub inviter: PeerAddr,
    /// What proves that the holder was invited. Used once.
    pub secret: [u8; 32],
    /// Until when, by the inviter's clock.
    pub expires: UnixTime,
}

impl Ticket {
    /// The ticket as text, with a checksum.
    #[must_use]
    pub fn to_text(&self) -> String {
        let body = encode(self);
        let sum = checksum(&body);
        format!("{PREFIX}{}", hex(&[body.as_slice(), &sum].concat()))
    }

    /// The ticket that a text is.
    ///
    /// # Errors
    /// `BadTicket`, saying what is wrong with the text.
    pub fn from_text(text: &str) -> Result<Self, AgentError> {
        let digits =
            text.trim().strip_prefix(PREFIX).ok_or_else(|| bad("it does not begin as one"))?;
        let short = Some(digits).filter(|it| it.len() <= 2 * TICKET_BYTES_MAX);
        let bytes = short.and_then(unhex).ok_or_else(|| bad("it is not hexadecimal"))?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| bad("it is cut off"))?;
        if checksum(body) != *sum {
            return Err(bad("a character is wrong or missing"));
        }
        decode(body, TICKET_BYTES_MAX).map_err(|_| bad("it is from another version of aura"))
    }

    /// The name under which the inviter remembers the secret, without revealing it.
    #[must_use]
    pub fn secret_id(secret: &[u8; 32]) -> Digest {
        Digest::tagged("aura ticket secret v1", &[secret])
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let digest = Digest::tagged("aura ticket checksum v1", &[body]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

fn bad(what: &str) -> AgentError {
    AgentError::new(
        "BadTicket",
        format!("this is not a valid ticket: {what}"),
        Whose::Caller,
        "copy the whole line that `aura device invite` printed",
    )
}

#[cfg(test)]
mod tests {
    use aura_transport::PeerId;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            account: AccountId::from_bytes([1; 32]),
            generation: 0,
            k: 3,
            head: Digest::of(b"head"),
            inviter: PeerAddr::new(PeerId([2; 32]), vec!["127.0.0.1:4433".parse().unwrap()]),
            secret: [3; 32],
            expires: UnixTime(9),
        }
    }

    #[test]
    fn text_round_trips() {
        assert_eq!(Ticket::from_text(&ticket().to_text()), Ok(ticket()));
        assert_eq!(Ticket::from_text(&format!("  {}\n", ticket().to_text())), Ok(ticket()));
    }

    #[test]
    fn every_damaged_character_is_noticed() {
        let text = ticket().to_text();
        for at in 0..text.len() {
            let mut damaged: Vec<u8> = text.bytes().collect();
            damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(Ticket::from_text(&damaged).unwrap_err().code, "BadTicket", "{at}");
        }
        for length in 0..text.len() {
            assert_eq!(Ticket::from_text(&text[..length]).unwrap_err().code, "BadTicket");
        }
        assert_eq!(Ticket::from_text("aura-ticket-1-é0").unwrap_err().code, "BadTicket");
    }
}
