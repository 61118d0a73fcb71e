//! What a session may have done with this device's keys: by the protocols that make and use the account's,
//! by the key store; by programs, a signature, or a payload that is sealed or opened. No key ever leaves.
//!
//! What a program has signed or sealed is good for its app, the module that this device runs, and its
//! session, and for nothing else (INV-A10).

use std::collections::BTreeSet;

use aura_coordination::{
    choreography::built_in::KeyProtocol,
    execution::{Instruction, InstructionResult, SealRequest, SignedForSession},
};
use aura_crypto::{Context, Domain, DualRng, open_payload, seal_payload};
use aura_journal::SessionState;
use aura_protocol_core::{
    Capability, DeviceId, Digest, SessionId, decode, encode, lifecycle::EffectReply,
    limits::UNIT_BODY_BYTES_MAX,
};

use crate::node::{Effect, Entropy, Node};

/// The questions for which randomness is on its way.
#[derive(Debug, Default)]
pub(super) struct Drawing(BTreeSet<(SessionId, u64)>);

/// Answers at once, or with randomness, which has to be drawn first.
enum Needs {
    Nothing(Result<Vec<u8>, String>),
    Randomness,
}

impl Node {
    /// The answer to a session that wants to use a right, once there is one.
    pub(super) fn use_right(
        &mut self,
        session: SessionId,
        module: &Digest,
        (effect, capability): (u64, Capability),
        bytes: &[u8],
    ) -> Option<(u64, EffectReply)> {
        let needs = match KeyProtocol::of_digest(module) {
            Some(_) if self.vault.is_none() => Needs::Nothing(Err("it has no key store".into())),
            Some(_) => Needs::Randomness,
            None => self.program_needs(session, capability, bytes),
        };
        match needs {
            Needs::Nothing(Ok(used)) => Some((effect, EffectReply::Used(used))),
            Needs::Nothing(Err(why)) => Some((effect, unusable(capability, &why))),
            Needs::Randomness => {
                if self.drawing.0.insert((session, effect)) {
                    self.out.push(Effect::Draw { session, effect });
                }
                None
            }
        }
    }

    /// Randomness came for a question: it is answered, and session and key store are stored together.
    pub(super) fn drawn(&mut self, session: SessionId, effect: u64, entropy: Option<Entropy>) {
        self.drawing.0.remove(&(session, effect));
        let Some(running) = self.sessions.get(&session) else { return };
        let module = running.context.module();
        let question = running.context.unanswered().find_map(|it| match it {
            Instruction::UseCapability { effect: of, capability, bytes } if of == effect => {
                Some((capability, bytes))
            }
            _ => None,
        });
        let Some((capability, question)) = question else { return };
        let answer = match entropy.map(Entropy::into_rng) {
            None => Err("this machine has no randomness to give".to_string()),
            Some(mut rng) if KeyProtocol::of_digest(&module).is_some() => {
                let answer = self.ask_vault(session, &question, &mut rng);
                self.keep_vault();
                answer
            }
            Some(mut rng) => self.seal_for(session, &question, &mut rng),
        };
        let reply = match answer {
            Ok(answer) => EffectReply::Used(answer),
            Err(reason) => {
                let name = session.short();
                self.log(format!("session {name}: `{capability}` is refused: {reason}"));
                EffectReply::Denied(reason)
            }
        };
        if let Some(running) = self.sessions.get_mut(&session) {
            let replied = running.context.complete(InstructionResult::Replied { effect, reply });
            if let Err(error) = replied {
                self.log(error.to_string());
            }
        }
        self.stirred.insert(session);
        self.keep_session(session);
    }

    /// What it takes to answer a program.
    fn program_needs(&self, session: SessionId, capability: Capability, bytes: &[u8]) -> Needs {
        let request = || decode::<SealRequest>(bytes, UNIT_BODY_BYTES_MAX);
        match capability {
            Capability::Sign => Needs::Nothing(self.sign_for(session, bytes)),
            Capability::Seal => match request() {
                Ok(SealRequest::Open { from, bytes }) => {
                    Needs::Nothing(self.open_for(session, from, &bytes))
                }
                Ok(SealRequest::Seal { .. }) => Needs::Randomness,
                Err(error) => Needs::Nothing(Err(error.to_string())),
            },
            Capability::DeriveKey => Needs::Nothing(Err(
                "only the account's owner derives keys: `aura key derive`".into(),
            )),
            _ => Needs::Nothing(Err("it is no right to use on bytes".into())),
        }
    }

    /// This device's signature of what its program says.
    fn sign_for(&self, session: SessionId, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let known = self.known(session)?;
        let module = run_by(known, self.me)?;
        let (app, bytes) = (known.open.app, bytes.to_vec());
        let said = SignedForSession { app, module, session, bytes };
        let account = self.ledger.account();
        let context = Context { domain: Domain::Program, account, epoch: 0 };
        Ok(self.unit_key.sign(&context, &encode(&said)).0.to_vec())
    }

    /// Seals what this device's program says to another participant.
    fn seal_for(
        &self,
        session: SessionId,
        question: &[u8],
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, String> {
        let request = decode(question, UNIT_BODY_BYTES_MAX).map_err(|it| it.to_string())?;
        let SealRequest::Seal { to, bytes } = request else {
            return Err("there is nothing to seal".to_string());
        };
        let known = self.known(session)?;
        run_by(known, to)?;
        let entry = self.ledger.chain().config().roster.get(&to);
        let key = entry.ok_or("the device has left the account")?.hpke_key;
        let aad = encode(&(self.me, to));
        let sealed = seal_payload(&key, &self.purpose(known, self.me)?.parts(), &aad, &bytes, rng);
        sealed.map_err(|error| error.to_string())
    }

    /// Opens what another participant's program sealed for this device's.
    fn open_for(
        &self,
        session: SessionId,
        from: DeviceId,
        sealed: &[u8],
    ) -> Result<Vec<u8>, String> {
        let known = self.known(session)?;
        let aad = encode(&(from, self.me));
        let purpose = self.purpose(known, from)?;
        let opened = open_payload(&self.hpke_key, &purpose.parts(), &aad, sealed);
        opened.map(|it| it.to_vec()).map_err(|error| error.to_string())
    }

    fn known(&self, session: SessionId) -> Result<&SessionState, String> {
        self.ledger.state().sessions.get(&session).ok_or_else(|| "the session is not known".into())
    }

    /// What is sealed is for this account, app and session, and from what its sender runs.
    fn purpose(&self, known: &SessionState, from: DeviceId) -> Result<Purpose, String> {
        let account = *self.ledger.account().as_bytes();
        let (app, session) = (*known.open.app.as_bytes(), *known.id.as_bytes());
        Ok(Purpose([account, app, *run_by(known, from)?.as_bytes(), session]))
    }
}

struct Purpose([[u8; 32]; 4]);

impl Purpose {
    fn parts(&self) -> [&[u8]; 4] {
        self.0.each_ref().map(<[u8; 32]>::as_slice)
    }
}

/// The module that a participant runs in a session.
fn run_by(known: &SessionState, device: DeviceId) -> Result<Digest, String> {
    let run = known.open.agreement.runs.get(&device).map(|it| it.1);
    run.ok_or_else(|| format!("device {} takes no part in the session", device.short()))
}

/// The answer to the use of a right that this device does not carry out, although it is granted.
fn unusable(capability: Capability, why: &str) -> EffectReply {
    EffectReply::Denied(format!("this device does not offer `{capability}`: {why}"))
}
