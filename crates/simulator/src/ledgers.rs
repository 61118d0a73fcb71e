//! Level 2: whole ledgers. What travels are signed units; a session is opened by a unit, its messages
//! are units, and every device imports them as an agent does, with all checks: with real signatures, or
//! with [`Keyed`] hashes in their place, which is several times as fast.
//!
//! **Invariants**
//! - INV-Z12: but for names and hashes, a run with keyed hashes is the run with real signatures.

mod account;
mod packet;
mod peer;
mod signing;

pub use packet::Packet;
pub use peer::Peer;
pub use signing::{Keyed, Signing};

use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

use aura_choreography::{Body, Dev, Event as Said};
use aura_journal::{Event, Strict, Unit, event::SessionMessage};
use aura_protocol_core::{AccountId, Digest};

use crate::{
    draw::mix,
    engine::{Change, Changed, Level},
    ledgers::{account::Account, peer::Place},
    level::Table,
    plan::Plan,
    protocols::Protocol,
};

/// Ledgers on devices.
pub struct Ledgers<S = Strict> {
    table: Arc<Table>,
    /// The accounts of all runs so far, by the number of their devices.
    accounts: Vec<Arc<Account>>,
    current: Option<Arc<Account>>,
    threshold: u8,
    /// Which unit of the second chain of a liar stands for one of its first.
    branches: BTreeMap<Digest, Digest>,
    /// Whether anybody lies: then devices compare how far they are.
    compares: bool,
    signing: PhantomData<fn() -> S>,
}

impl Ledgers {
    /// All devices run this protocol, and sign as devices do.
    #[must_use]
    pub fn new(protocol: &'static Protocol) -> Self {
        Self::signed_by(protocol)
    }
}

impl<S: Signing> Ledgers<S> {
    /// All devices run this protocol, and sign in this way.
    #[must_use]
    pub fn signed_by(protocol: &'static Protocol) -> Self {
        let table = Arc::new(Table::of(protocol));
        Self {
            table,
            accounts: Vec::new(),
            current: None,
            threshold: 0,
            branches: BTreeMap::new(),
            compares: false,
            signing: PhantomData,
        }
    }

    const fn place(&self, dev: Dev) -> Place {
        Place { dev, threshold: self.threshold, compares: self.compares }
    }

    fn account(&self) -> Arc<Account> {
        self.current.as_ref().map_or_else(Arc::default, Arc::clone)
    }
}

impl<S: Signing> Level for Ledgers<S> {
    type Node = Peer<S>;
    const GOES_ON: bool = true;

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.threshold = plan.threshold;
        self.branches.clear();
        self.compares = !plan.byzantine().is_empty();
        let known = self.accounts.iter().find(|it| it.devices.len() == usize::from(plan.devices));
        let account = match known {
            Some(account) => Arc::clone(account),
            None => {
                let account = Arc::new(Account::found(plan.devices)?);
                self.accounts.push(Arc::clone(&account));
                account
            }
        };
        self.current = Some(account);
        // What the roles do not allow is found out before anything runs.
        Table::new(self.table.script, self.table.params, self.table.host).prepare(plan)
    }

    fn node(&self, dev: Dev, corrupts: Option<u64>) -> Peer<S> {
        Peer::new(self.account(), Arc::clone(&self.table), self.place(dev), corrupts)
    }

    fn restart(
        &self,
        dev: Dev,
        saved: peer::Saved<S>,
        corrupts: Option<u64>,
    ) -> Result<Peer<S>, String> {
        let place = self.place(dev);
        Peer::restart(self.account(), Arc::clone(&self.table), place, saved, corrupts)
    }

    fn change(
        &mut self,
        dev: Dev,
        packet: &Packet,
        how: Change,
        key: u64,
    ) -> Option<Changed<Packet>> {
        let Packet::Unit(sent) = packet else { return None };
        let mut unit = Unit::from_bytes(&sent.bytes).ok()?;
        let account = self.account();
        let member = account.member(dev)?;
        let again = |unit: Unit, key| {
            let body = unit.body;
            Packet::unit(dev, body.seq, &body.sign_with::<S>(key))
        };
        match how {
            Change::Encoding => {
                Some(Changed::Bogus(sent.with_bytes([&sent.bytes[..], &[0]].concat())))
            }
            Change::Value => {
                let other = self.table.lie(&self.said(&unit)?, key)?;
                unit.body.event = message(&self.table, &other);
                Some(Changed::Open(again(unit, &member.unit_key)))
            }
            Change::Branch => {
                let prev = unit.body.prev.and_then(|it| self.branches.get(&it).copied());
                // The chains part anywhere.
                let parts = prev.is_some() || mix(key ^ unit.body.seq) & 1 == 0;
                let said = self.said(&unit).filter(|_| parts);
                let other = said.and_then(|it| self.table.lie(&it, key));
                if prev.is_none() && other.is_none() {
                    return None;
                }
                unit.body.prev = prev.or(unit.body.prev);
                if let Some(other) = other {
                    unit.body.event = message(&self.table, &other);
                }
                let twin = unit.body.sign_with::<S>(&member.unit_key);
                self.branches.insert(sent.unit, twin.hash());
                Some(Changed::Open(Packet::unit(dev, sent.seq, &twin)))
            }
            Change::Session => {
                // Of another account, and signed by the same key.
                unit.body.account = AccountId::from_bytes([9; 32]);
                Some(Changed::Bogus(again(unit, &member.unit_key)))
            }
            Change::Author(author) => {
                unit.body.author = account
                    .member(author)
                    .map_or_else(|| account::stranger(author), |victim| victim.id);
                Some(Changed::Bogus(again(unit, &member.unit_key)))
            }
        }
    }

    fn vote(&self, packet: &Packet) -> Option<(u64, u64)> {
        if !self.table.certifies() {
            return None;
        }
        let Packet::Unit(sent) = packet else { return None };
        self.table.vote(&self.said(&Unit::from_bytes(&sent.bytes).ok()?)?)
    }

    fn describe(&self, packet: &Packet) -> (String, String) {
        let Packet::Unit(sent) = packet else {
            return (packet.name().to_owned(), String::new());
        };
        match Unit::from_bytes(&sent.bytes).map(|it| it.body.event) {
            Ok(Event::SessionMessage(SessionMessage { label, payload })) => {
                (label, format!("{:?}", Body::new(&payload)))
            }
            Ok(event) => (format!("{:?}", event.kind()), String::new()),
            Err(error) => ("no unit".to_owned(), error.to_string()),
        }
    }
}

impl<S: Signing> Ledgers<S> {
    /// What a unit says in the session.
    fn said(&self, unit: &Unit) -> Option<Said> {
        let Event::SessionMessage(SessionMessage { label, payload }) = &unit.body.event else {
            return None;
        };
        let author = self.account().place(&unit.body.author)?;
        let (label, round) = self.table.script.global().parse_label(label)?;
        Some(Said { author, label, round, body: Body::new(payload) })
    }
}

/// What a session says, as an event of the ledger.
fn message(table: &Table, said: &Said) -> Event {
    let label = table.script.global().label_text(said.label, said.round);
    Event::SessionMessage(SessionMessage { label, payload: said.body.bytes().to_vec() })
}
