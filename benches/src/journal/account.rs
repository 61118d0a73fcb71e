//! Eight devices that write in turn, and their units in a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::{
    Event, Ledger,
    control::{
        Certificate, CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Genesis, Phase,
        Role, RosterEntry, Vote,
    },
    event::SessionMessage,
    session_id,
};
use aura_protocol_core::{DeviceId, SessionId};

/// Devices that write in turn.
pub const DEVICES: u8 = 8;
/// Bytes of a message.
pub const PAYLOAD_BYTES: usize = 250;
/// Every how many units one belongs to the session that somebody waits for.
const AWAITED_EVERY: usize = 10;

/// A device's id and keys.
pub struct Device {
    pub id: DeviceId,
    pub key: SecretKey,
    pub vote_key: SecretKey,
}

/// The chain of an account of all devices.
pub fn account() -> Result<(ControlChain, Vec<Device>)> {
    let mut devices = Vec::new();
    let mut roster = Vec::new();
    for number in 0..DEVICES {
        let key = |purpose: u8| SecretKey::from_seed([purpose + number; 32]);
        let id = DeviceId::derive(key(10).public().as_bytes());
        roster.push(RosterEntry {
            device: id,
            role: Role::Voter,
            unit_key: key(10).public(),
            vote_key: key(20).public(),
            hpke_key: HpkeSecretKey::from_seed([30 + number; 32]).public(),
            transport_key: key(40).public(),
        });
        devices.push(Device { id, key: key(10), vote_key: key(20) });
    }
    let vote_key = SecretKey::from_seed([20; 32]);
    let first = roster.first().context("no device")?.clone();
    let genesis = Genesis { nonce: [9; 32], name: "figures".to_owned(), first };
    let mut chain = ControlChain::found(genesis, &vote_key)?;
    let config = Configuration::with_defaults(roster);
    let value = Entry { past: Vec::new(), body: EntryBody::Reconfigure(Box::new(config)) };
    let slot = chain.next_slot();
    let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &vote_key);
    let certificate = Certificate { view: 0, votes: BTreeMap::from([(vote.key, vote.signature)]) };
    let _appended = chain.append(CertifiedEntry { slot, value, certificate })?;
    Ok((chain, devices))
}

/// The session that somebody waits for.
pub fn awaited(chain: &ControlChain, devices: &[Device]) -> Result<SessionId> {
    let first = devices.first().context("no device")?;
    Ok(session_id(chain.account(), first.id, 0))
}

/// Writes so many units into a file.
pub fn write(file: &Path, count: usize) -> Result<()> {
    let (chain, devices) = account()?;
    let awaited = awaited(&chain, &devices)?;
    let mut ledger = Ledger::new(chain);
    let mut out = BufWriter::new(File::create(file)?);
    for (nth, device) in (0..count).zip(devices.iter().cycle()) {
        let payload = vec![nth.to_le_bytes()[0]; PAYLOAD_BYTES];
        let event = Event::SessionMessage(SessionMessage { label: "Say".to_owned(), payload });
        let session = (nth % AWAITED_EVERY == 0).then_some(awaited);
        let unit = ledger.author(device.id, &device.key, session, event)?;
        drop(ledger.take_batch());
        let bytes = ledger.unit_bytes(&unit).context("a unit is gone")?;
        out.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        out.write_all(bytes)?;
    }
    out.flush()?;
    Ok(())
}

/// The units of a file, one at a time.
pub struct Units {
    file: BufReader<File>,
}

impl Units {
    /// Opens the file.
    pub fn open(file: &Path) -> Result<Self> {
        Ok(Self { file: BufReader::new(File::open(file)?) })
    }

    /// The next `count` units.
    pub fn take(&mut self, count: usize) -> Result<Vec<Vec<u8>>> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The next unit.
    pub fn next(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
