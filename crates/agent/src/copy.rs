//! A copy of a running device's ledger, in pieces over the control socket.
//!
//! Whatever takes long with a ledger is done on such a copy, by the process that asked: the device
//! itself only hands out bytes, a piece at a time, and imports in between.

use aura_journal::{Ledger, NamedUnit, Stored, control::CertifiedEntry};
use aura_protocol_core::{decode, encode};
use borsh::{BorshDeserialize, BorshSerialize, object_length};

use crate::{
    api::{Command, Piece, Response},
    error::{AgentError, Whose},
    text::{hex, unhex},
};

/// How many bytes of entries and units a piece has; the last item may go beyond. In hexadecimal
/// digits it is far below [`crate::control::ANSWER_BYTES_MAX`], and costs the device milliseconds.
const PIECE_BYTES_MAX: usize = 2 << 20;

#[derive(BorshSerialize, BorshDeserialize)]
struct Items {
    entries: Vec<CertifiedEntry>,
    units: Vec<Vec<u8>>,
    /// The height of the snapshot that stands for units that are gone, and a part of its base.
    base: Option<(u64, Vec<u8>)>,
}

/// What comes after so many entries, bytes of the base and units.
pub(crate) fn piece(ledger: &Ledger, entries: usize, units: usize, base: usize) -> Piece {
    let mut left = PIECE_BYTES_MAX;
    let mut items = Items { entries: Vec::new(), units: Vec::new(), base: None };
    let (all_entries, all_units) = (ledger.chain().entries(), ledger.units_after(units));
    for entry in all_entries.get(entries..).unwrap_or_default() {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(object_length(entry).unwrap_or(left));
        items.entries.push(entry.clone());
    }
    let all_base = ledger.base();
    let rest = all_base.and_then(|(_, it)| it.get(base..)).unwrap_or_default();
    let part = rest.get(..left).unwrap_or(rest);
    left = left.saturating_sub(part.len());
    items.base = all_base.map(|(k, _)| (k, part.to_vec()));
    if part.len() < rest.len() {
        left = 0;
    }
    for unit in all_units {
        if left == 0 {
            break;
        }
        let bytes = ledger.unit_bytes(unit).unwrap_or_default();
        left = left.saturating_sub(bytes.len());
        items.units.push(bytes.to_vec());
    }
    let has = entries.saturating_add(items.entries.len());
    let whole = all_entries.len() <= has
        && part.len() == rest.len()
        && items.units.len() == all_units.len();
    Piece { piece: hex(&encode(&items)), whole }
}

/// A copy in the making.
#[derive(Debug, Default)]
pub struct LedgerCopy {
    stored: Stored,
    /// The height of the snapshot that stands for units that are gone.
    base: Option<u64>,
}

impl LedgerCopy {
    /// What to ask next.
    #[must_use]
    pub fn next(&self) -> Command {
        Command::Copy {
            entries: self.stored.entries.len(),
            units: self.stored.units.len(),
            base: self.stored.base.as_ref().map_or(0, Vec::len),
        }
    }

    /// Takes the answer. Whether the copy is now the ledger as it was at one moment.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when it is no piece of a ledger.
    pub fn add(&mut self, response: &Response) -> Result<bool, AgentError> {
        let Response::Piece(Piece { piece, whole }) = response else {
            return Err(unexpected(&"it is no piece"));
        };
        let bytes = unhex(piece).ok_or_else(|| unexpected(&"it is not hexadecimal"))?;
        let items: Items = decode(&bytes, usize::MAX).map_err(|error| unexpected(&error))?;
        let base = items.base.as_ref().map(|(k, _)| *k);
        let begun = self.base.is_some() || !self.stored.units.is_empty();
        if base != self.base && begun {
            // Units were dropped since the last piece, and the places of the others are new.
            *self = Self::default();
            return Ok(false);
        }
        let part = items.base.map(|(_, part)| part).unwrap_or_default();
        if !whole && items.entries.is_empty() && items.units.is_empty() && part.is_empty() {
            return Err(unexpected(&"it is empty"));
        }
        if base != self.base {
            self.base = base;
            self.stored.base = base.map(|_| Vec::new());
        }
        if let Some(base) = &mut self.stored.base {
            base.extend(part);
        }
        self.stored.entries.extend(items.entries);
        let units: Result<Vec<_>, _> = items.units.into_iter().map(NamedUnit::read).collect();
        self.stored.units.extend(units.map_err(|error| unexpected(&error))?);
        Ok(*whole)
    }

    /// The ledger that was copied.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when the pieces are none.
    pub fn ledger(&self) -> Result<Ledger, AgentError> {
        Ledger::restore(&self.stored).map_err(|error| unexpected(&error))
    }
}

fn unexpected(error: &dyn std::fmt::Display) -> AgentError {
    AgentError::new(
        "UnexpectedAnswer",
        format_args!("the running device's ledger could not be copied: {error}"),
        Whose::Machine,
        "run the device with the same version of `aura` as this command",
    )
}

#[cfg(test)]
mod tests {
    use aura_crypto::{HpkeSecretKey, SecretKey};
    use aura_journal::{
        Event,
        control::{ControlChain, Genesis, Role, RosterEntry},
        event::SessionMessage,
    };
    use aura_protocol_core::DeviceId;

    use super::*;

    /// A ledger of one device with so many units of a size.
    fn ledger(units: usize, bytes: usize) -> Ledger {
        let [unit_key, vote_key, transport] = [1, 2, 3].map(|it| SecretKey::from_seed([it; 32]));
        let device = DeviceId::derive(unit_key.public().as_bytes());
        let first = RosterEntry {
            device,
            role: Role::Voter,
            unit_key: unit_key.public(),
            vote_key: vote_key.public(),
            hpke_key: HpkeSecretKey::from_seed([4; 32]).public(),
            transport_key: transport.public(),
        };
        let genesis = Genesis { nonce: [5; 32], name: "home".to_owned(), first };
        let mut ledger = Ledger::new(ControlChain::found(genesis, &vote_key).unwrap());
        for _ in 0..units {
            let message = SessionMessage { label: "Say".to_owned(), payload: vec![7; bytes] };
            ledger.author(device, &unit_key, None, Event::SessionMessage(message)).unwrap();
        }
        ledger
    }

    fn answer(ledger: &Ledger, command: &Command) -> Response {
        let Command::Copy { entries, units, base } = command else { panic!("{command:?}") };
        Response::Piece(piece(ledger, *entries, *units, *base))
    }

    #[test]
    fn pieces_make_the_ledger() {
        let ledger = ledger(150, 60_000);
        let mut copy = LedgerCopy::default();
        let mut pieces = 1;
        while !copy.add(&answer(&ledger, &copy.next())).unwrap() {
            pieces += 1;
        }
        assert_eq!(pieces, 5);
        let copied = copy.ledger().unwrap();
        assert_eq!(copied.arrivals(), ledger.arrivals());
        assert_eq!(copied.state(), ledger.state());
        assert!(answer(&ledger, &copy.next()) == answer(&ledger, &copy.next()));
        assert!(copy.add(&answer(&ledger, &copy.next())).unwrap());
        assert_eq!(copy.ledger().unwrap().len(), 150);
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let refused = |piece: &str, whole| {
            let piece = Piece { piece: piece.to_owned(), whole };
            LedgerCopy::default().add(&Response::Piece(piece)).unwrap_err().code
        };
        let empty = "0".repeat(16);
        for (piece, whole) in [("xy", true), ("00", true), (empty.as_str(), false)] {
            assert_eq!(refused(piece, whole), "UnexpectedAnswer", "{piece}");
        }
        assert!(LedgerCopy::default().ledger().is_err());
    }
}
