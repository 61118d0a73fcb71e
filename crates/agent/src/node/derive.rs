//! Deriving a key for the person at this device.
//!
//! The holders of shares open one session for it. The key itself is never in the session, in the ledger or
//! in a store: each device that helped has it for as long as its session ends, and this one hands it out.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::{
    choreography::{
        built_in::KeyProtocol,
        dkd::{Purpose, Terms},
    },
    execution::SessionStatus,
    keystore::Keys,
};
use aura_crypto::DualRng;
use aura_protocol_core::{DeviceId, Digest, Outcome, SessionId, encode};

use crate::{
    api::{DerivedKey, Response, SecretHex},
    error::{AgentError, Whose},
    node::{Effect, Entropy, Node, RequestId, keys::key_app, view::status_of},
};

/// Longest context of a derived key, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 128;
/// Most derivations that wait on one device.
const WAITING_MAX: usize = 16;

/// Who waits for which key.
#[derive(Debug, Default)]
pub(super) struct Derivations {
    /// Until the account has keys.
    wanted: Vec<(RequestId, String)>,
    running: BTreeMap<SessionId, (RequestId, String)>,
}

impl Node {
    /// Begins to derive a key.
    pub(super) fn derive_key(
        &mut self,
        id: RequestId,
        context: String,
        entropy: Entropy,
    ) -> Result<(), AgentError> {
        let length = context.len();
        if length == 0 || CONTEXT_BYTES_MAX < length || context.contains(char::is_control) {
            return Err(AgentError::new(
                "BadContext",
                format!("a context has 1 to {CONTEXT_BYTES_MAX} bytes and no control characters"),
                Whose::Caller,
                "say in a few words what the key is for",
            ));
        }
        if WAITING_MAX <= self.derivations.running.len() + self.derivations.wanted.len() {
            let message = format!("{WAITING_MAX} keys are being derived at this device");
            return Err(AgentError::new("Busy", message, Whose::Caller, "wait for some of them"));
        }
        if self.keys().is_some() {
            return self.begin_derivation(id, context);
        }
        self.make_sole_keys(&mut entropy.into_rng())?;
        self.derivations.wanted.push((id, context));
        Ok(())
    }

    /// A device that is alone makes the account's keys when they are first needed: until then others may
    /// join, and make them with it.
    pub(super) fn make_sole_keys(&mut self, rng: &mut DualRng) -> Result<(), AgentError> {
        let voters = self.voters();
        if voters.len() != 1 || !voters.contains(&self.me) {
            return Err(no_keys("the devices of the account have not made its keys together yet"));
        }
        let name = self.sole_name();
        let Some(vault) = &mut self.vault else { return Err(no_keys("it has no key store")) };
        vault.store.make_sole(name, rng).map_err(|it| no_keys(&it.to_string()))?;
        self.keep_vault();
        Ok(())
    }

    /// Under which name keys wait that this device made alone.
    pub(super) fn sole_name(&self) -> SessionId {
        let (account, me) = (self.ledger.account(), self.me);
        Digest::tagged("aura sole keys v1", &[account.as_bytes(), me.as_bytes()]).into()
    }

    fn begin_derivation(&mut self, id: RequestId, context: String) -> Result<(), AgentError> {
        let keys = self.keys().ok_or_else(|| no_keys("this device holds no share of its keys"))?;
        if self.makes_keys() {
            return Err(no_keys("the devices of the account are making its keys anew"));
        }
        let devices = self.enough(keys)?;
        let holders: Vec<DeviceId> = self.holders(keys).into_iter().collect();
        let purpose = Purpose::Owner(context.clone().into_bytes());
        let terms = Terms { context: encode(&purpose), key_version: 0, devices };
        let app = key_app(KeyProtocol::Derive).ok_or_else(|| no_keys("it cannot derive"))?;
        let (session, _) = self.open_session(app, &holders, encode(&terms))?;
        self.derivations.running.insert(session, (id, context));
        Ok(())
    }

    /// How many devices are needed, if so many are there.
    fn enough(&self, keys: &Keys) -> Result<u8, AgentError> {
        let needed = keys.derivation.1.threshold();
        let is_there = |it: &&DeviceId| **it == self.me || self.peers.contains(it);
        let holders = self.holders(keys);
        let there = holders.iter().filter(is_there).count();
        if usize::from(needed) <= there
            && let Ok(devices) = u8::try_from(needed)
        {
            return Ok(devices);
        }
        let missing = holders.iter().filter(|it| !is_there(it));
        let missing: Vec<String> = missing.map(|it| self.device_name(*it)).collect();
        let missing = missing.join(", ");
        Err(AgentError::new(
            "NotEnoughDevices",
            format!("{there} of the {needed} devices that it takes are connected; not {missing}"),
            Whose::Nobody,
            "start one of them, and try again; nothing has changed",
        ))
    }

    /// Goes on with what waited for keys.
    pub(super) fn pump_derivations(&mut self) {
        if self.derivations.wanted.is_empty() || self.keys().is_none() {
            return;
        }
        for (id, context) in std::mem::take(&mut self.derivations.wanted) {
            if let Err(error) = self.begin_derivation(id, context) {
                self.out.push(Effect::Answer { id, result: Err(error) });
            }
        }
    }

    /// Answers whoever waits for the key that a session derived.
    pub(super) fn derivation_ended(&mut self, session: SessionId) {
        let Some((id, context)) = self.derivations.running.remove(&session) else { return };
        let status = self.session_status(session);
        let derived = self.vault.as_mut().and_then(|it| it.store.take_derived(session));
        let result = match (status, derived) {
            (Some(SessionStatus::Ended(Outcome::Completed { .. })), Some(derived)) => {
                let public = derived.key_pair().public();
                let digits = public.as_bytes().iter().map(|it| format!("{it:02x}"));
                Ok(Response::Key(DerivedKey {
                    context,
                    key: SecretHex::new(derived.danger_secret()),
                    public_key: digits.collect(),
                    session: session.to_string(),
                }))
            }
            (status, _) => {
                let reason = status.map(|it| status_of(&it).1).unwrap_or_default();
                Err(not_derived(&reason))
            }
        };
        self.out.push(Effect::Answer { id, result });
    }

    /// Whoever waits for a key is told when too few devices are awake to go on.
    pub(super) fn derivation_stalled(&mut self, session: SessionId, missing: &[String]) {
        if let Some((id, _)) = self.derivations.running.remove(&session) {
            let names: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let result = Err(not_derived(&format!("too few devices are awake: not {names}")));
            self.out.push(Effect::Answer { id, result });
        }
    }
}

fn no_keys(why: &str) -> AgentError {
    AgentError::new(
        "NoKeys",
        why,
        Whose::Nobody,
        "have all devices of the account running and connected for some seconds, and try again",
    )
}

fn not_derived(reason: &str) -> AgentError {
    AgentError::new(
        "NotDerived",
        format!("the devices came to no key: {reason}"),
        Whose::Nobody,
        "see with `aura device list` who is connected, and try again; nothing has changed",
    )
}
