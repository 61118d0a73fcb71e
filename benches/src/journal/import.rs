//! Units that arrive one at a time while somebody waits for some of them.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use aura_crypto::{Context, Domain, PublicKey, Signature};
use aura_journal::{Filter, Ledger, Outcome, PeerTag, SubscriptionId, Unit, control::ControlChain};
use aura_protocol_core::{AccountId, SessionId};

use crate::clock::{median, now, since};

/// Rounds of which the median counts, and units in a round.
pub const ROUNDS: usize = 15;
pub const ROUND: usize = 200;
/// Waiters of whom one's wake is measured.
const WAITERS: usize = 1_000;

const PEER: PeerTag = PeerTag([1; 32]);
const SIGNATURE_BYTES: usize = 64;

/// What an arrival costs, in seconds each.
pub struct Arrival {
    /// L: one push and one strict verification.
    pub floor: f64,
    /// Import, and waking and answering who waits.
    pub import: f64,
    /// Of that, asking who woke and what for.
    pub wake: f64,
}

/// Imports a unit, and takes what is to be stored.
pub fn import(ledger: &mut Ledger, unit: &[u8]) -> Result<()> {
    let outcome = ledger.import(PEER, unit)?;
    ensure!(matches!(outcome, Outcome::Applied(_)), "a unit did not go in: {outcome:?}");
    drop(ledger.take_batch());
    Ok(())
}

/// Measures rounds of units, in turns with the floor on the same units; and in the last round, what a
/// wake alone costs.
pub fn arrive(ledger: &mut Ledger, session: SessionId, units: &[Vec<u8>]) -> Result<Arrival> {
    let waiter = ledger.subscribe(Filter { session: Some(session), ..Filter::default() });
    drop((ledger.poll(waiter), ledger.take_woken()));
    let (mut floors, mut imports) = (Vec::new(), Vec::new());
    let mut pushed = Vec::new();
    let (rounds, last) = units.split_at(units.len().saturating_sub(ROUND));
    for round in rounds.chunks(ROUND) {
        let signed = round.iter().map(|it| Signed::of(ledger.chain(), it));
        let signed = signed.collect::<Result<Vec<_>>>()?;
        let each = round.len() as f64;
        let begin = now();
        for it in &signed {
            it.push(&mut pushed)?;
        }
        floors.push(since(begin) / each);
        let begin = now();
        let mut woken = 0;
        for unit in round {
            import(ledger, unit)?;
            woken += wake(ledger, waiter);
        }
        imports.push(since(begin) / each);
        ensure!(0 < woken, "nobody was woken");
    }
    black_box(pushed);
    let wake = wake_one(ledger, session, last)?;
    Ok(Arrival { floor: median(floors), import: median(imports), wake })
}

/// Seconds that one of many waiters costs to wake and to answer. Many, since one is quicker than a look
/// at the clock.
fn wake_one(ledger: &mut Ledger, session: SessionId, units: &[Vec<u8>]) -> Result<f64> {
    let filter = Filter { session: Some(session), ..Filter::default() };
    let waiters: Vec<_> = (0..WAITERS).map(|_| ledger.subscribe(filter.clone())).collect();
    for waiter in &waiters {
        drop(ledger.poll(*waiter));
    }
    let (mut took, mut answered) = (0.0, 0_u32);
    for unit in units {
        import(ledger, unit)?;
        let begin = now();
        for waiter in ledger.take_woken() {
            answered += u32::from(!black_box(ledger.poll(waiter)).is_empty());
        }
        took += since(begin);
    }
    ensure!(0 < answered, "nobody was woken");
    Ok(took / f64::from(answered))
}

/// Asks who woke, and what for.
fn wake(ledger: &mut Ledger, waiter: SubscriptionId) -> usize {
    if ledger.take_woken().contains(&waiter) { ledger.poll(waiter).len() } else { 0 }
}

/// What L works on: who signed which bytes.
struct Signed<'a> {
    account: AccountId,
    config: u64,
    key: PublicKey,
    bytes: &'a [u8],
    body: &'a [u8],
    signature: Signature,
}

impl<'a> Signed<'a> {
    fn of(chain: &ControlChain, bytes: &'a [u8]) -> Result<Self> {
        let Unit { body, signature } = Unit::from_bytes(bytes)?;
        let entry = chain.config().roster.get(&body.author).context("an unknown author")?;
        let signed = bytes.len().checked_sub(SIGNATURE_BYTES).and_then(|it| bytes.get(..it));
        Ok(Self {
            account: body.account,
            config: body.config,
            key: entry.unit_key,
            bytes,
            body: signed.context("a unit is short")?,
            signature,
        })
    }

    fn push(&self, to: &mut Vec<Vec<u8>>) -> Result<()> {
        let context = Context { domain: Domain::Unit, account: self.account, epoch: self.config };
        self.key.verify(&context, self.body, &self.signature)?;
        to.push(self.bytes.to_vec());
        Ok(())
    }
}
