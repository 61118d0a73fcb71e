//! How a world carries out what a node wants done.

use aura_agent::{
    AgentError, Whose, engine,
    node::{Effect, Entropy, Group, Input, MigrateJob, Providers, RehearseJob, VOTE_KEYS_ROW},
};
use aura_protocol_core::{
    DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, SessionId, encode,
};

use crate::{publisher::HOST, world::World};

/// Something slow that a node wants done.
pub enum Job {
    Obtain { module: ModuleRef, offered: Option<Vec<u8>>, providers: Providers },
    Step(Step),
    Draw(SessionId, u64),
    DrawVoteKey,
    Rehearse(Box<RehearseJob>),
    Migrate(Box<MigrateJob>),
}

pub struct Step {
    session: SessionId,
    module: Digest,
    state: Vec<u8>,
    caps: ProtocolCapabilities,
    input: Box<ProtocolInput>,
}

impl World {
    /// Carries out what is quick, and queues the rest. False when the device's power went.
    pub fn carry_out(&mut self, index: usize, effect: Effect) -> bool {
        let device = &mut self.devices[index];
        match effect {
            Effect::Commit(batch) => return self.commit(index, &batch),
            Effect::Send { to, message } => self.send(index, to, message),
            Effect::Disconnect { device: peer, reason } => {
                device.cut_off.push((peer, reason));
                if let Some(other) = self.devices.iter().position(|it| it.id() == peer) {
                    self.cut(index, other);
                }
            }
            Effect::Roster(roster) => device.roster = roster,
            Effect::Obtain { module, offered, providers } => {
                device.jobs.push(Job::Obtain { module, offered, providers });
            }
            Effect::Step { session, module, state, caps, input } => {
                device.jobs.push(Job::Step(Step { session, module, state, caps, input }));
            }
            Effect::Draw { session, effect } => device.jobs.push(Job::Draw(session, effect)),
            Effect::DrawVoteKey => device.jobs.push(Job::DrawVoteKey),
            Effect::EraseEnrolmentKey => {
                // The store has it: the node never asks for it again.
                assert!(device.stored.local.contains_key(VOTE_KEYS_ROW));
            }
            Effect::Rehearse(job) => device.jobs.push(Job::Rehearse(job)),
            Effect::Migrate(job) => device.jobs.push(Job::Migrate(job)),
            Effect::Answer { id, result } => {
                device.answers.insert(id, result);
            }
            Effect::AnswerJoin { id, result } => {
                device.joins.insert(id, result);
            }
            Effect::News(news) => device.news.push(news),
            Effect::Recalled { id, known } => {
                device.recalled.insert(id, known);
            }
            Effect::Notify(event) => device.events.push(event),
            Effect::Log(line) => {
                assert!(!line.contains(char::is_control), "a control character: {line:?}");
                device.log.push(line);
            }
        }
        true
    }

    /// Finishes a job, and tells the node.
    pub fn finish(&mut self, index: usize, job: Job) {
        let input = match job {
            Job::Obtain { module, offered, providers } => {
                let digest = module.digest;
                let Providers { known, others } = providers;
                let devices: Vec<DeviceId> = known.into_iter().chain(others).collect();
                let result = self.obtain(index, &module, offered, &devices);
                if result.is_ok() {
                    self.devices[index].prepared.insert(digest);
                }
                Input::Obtained { digest, result }
            }
            Job::Step(Step { session, module, state, caps, input }) => {
                let built_in = self.built_ins.step(module, &state, &caps, (*input).clone());
                let result = built_in.unwrap_or_else(|| {
                    self.check_prepared(index, [&module]);
                    engine::step(&HOST, module, state, caps, *input)
                });
                Input::Stepped { session, result }
            }
            Job::Draw(session, effect) => {
                self.draws += 1;
                let bytes = *Digest::of(&encode(&("draw", self.draws))).as_bytes();
                Input::Drawn { session, effect, entropy: Some(Entropy::new(bytes)) }
            }
            Job::DrawVoteKey => {
                self.draws += 1;
                let bytes = *Digest::of(&encode(&("draw", self.draws))).as_bytes();
                Input::VoteKeyDrawn(Some(Entropy::new(bytes)))
            }
            Job::Rehearse(job) => {
                let before = job.groups.iter().flat_map(Group::modules);
                self.check_prepared(index, before.chain(&job.steps).chain([&job.module]));
                let mut result = engine::rehearse(&HOST, &job);
                if let Ok(rehearsal) = &mut result
                    && self.computes_otherwise == Some(index)
                {
                    rehearsal.post_root = Digest::ZERO;
                }
                Input::Rehearsed { proposal: job.proposal, result }
            }
            Job::Migrate(job) => {
                self.check_prepared(index, job.groups.iter().flat_map(Group::modules));
                Input::Migrated { app: job.app, result: engine::derive_records(&HOST, *job) }
            }
        };
        self.input(index, input);
    }

    /// INV-A3: a module is run only after this device has prepared it.
    fn check_prepared<'a>(&self, index: usize, modules: impl IntoIterator<Item = &'a Digest>) {
        for module in modules {
            let prepared = self.devices[index].prepared.contains(module);
            assert!(prepared, "device {index} runs {module}, which it has not prepared");
        }
    }

    fn obtain(
        &mut self,
        index: usize,
        module: &ModuleRef,
        offered: Option<Vec<u8>>,
        providers: &[DeviceId],
    ) -> Result<aura_protocol_core::Descriptor, AgentError> {
        if let Some(bytes) = offered {
            let descriptor = engine::take_offered(&HOST, module, &bytes)?;
            self.devices[index].modules.insert(module.digest, bytes);
            return Ok(descriptor);
        }
        if let Some(bytes) = self.devices[index].modules.get(&module.digest) {
            return engine::prepare(&HOST, module, bytes);
        }
        for provider in providers {
            let Some(other) = self.devices.iter().position(|it| it.id() == *provider) else {
                continue;
            };
            let bytes = self.devices[other].modules.get(&module.digest).cloned();
            // Streams are verified as they come: other bytes than those asked for never arrive.
            let right = |it: &Vec<u8>| Digest::of(it) == module.digest;
            if let Some(bytes) = bytes.filter(|it| self.is_connected(index, other) && right(it)) {
                let descriptor = engine::prepare(&HOST, module, &bytes)?;
                self.devices[index].modules.insert(module.digest, bytes);
                return Ok(descriptor);
            }
        }
        Err(AgentError::new("ModuleUnavailable", "nobody has it", Whose::Nobody, "wait"))
    }
}
