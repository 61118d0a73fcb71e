//! The key derivation by hand for another explorer, eagerly delivered: the floor.
//!
//! As small and quick as can be written: a device is a phase, how much it has heard of each other,
//! and what it has said. Every state is one of the real code's, and both explorers find as many.

use stateright::{Model, Property};

/// Most devices.
pub const DEVICES_MAX: usize = 4;
/// Most things that a device says.
const SAID_MAX: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Init,
    Commit,
    /// Who is frozen, a bit each.
    Freeze(u8),
    Reveal,
    Finalize,
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Context,
    Commits,
    Freeze,
    /// Who is frozen, a bit each.
    Reveals(u8),
    Finalize,
    Finished,
    Aborted,
    /// Gave up in which wait.
    Stalled(u8),
}

/// One device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    phase: Phase,
    heard: [u8; DEVICES_MAX],
    said: [Option<Word>; SAID_MAX],
}

impl Device {
    fn lives(&self) -> bool {
        !matches!(self.phase, Phase::Finished | Phase::Aborted | Phase::Stalled(_))
    }

    fn say(&mut self, word: Word) {
        if let Some(free) = self.said.iter_mut().find(|it| it.is_none()) {
            *free = Some(word);
        }
    }

    /// After the end nobody can tell what was heard.
    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.heard = [0; DEVICES_MAX];
    }

    fn reveal(&mut self, me: usize, frozen: u8) {
        if frozen >> me & 1 == 1 {
            self.say(Word::Reveal);
        }
    }
}

/// All devices.
pub type State = [Device; DEVICES_MAX];

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A device hears the next word of another.
    Deliver(usize, usize),
    /// A device has waited for too long.
    Timeout(usize),
}

/// So many devices with such a quorum.
pub struct Derivation {
    /// How many devices.
    pub devices: usize,
    /// How many commitments are enough.
    pub quorum: u32,
}

impl Derivation {
    /// Of whom a device has heard, or said itself, such a word.
    fn heard(state: &State, dev: usize, is: impl Fn(&Word) -> bool) -> u8 {
        let Some(me) = state.get(dev) else { return 0 };
        let mut authors = 0;
        for (author, (device, heard)) in state.iter().zip(me.heard).enumerate() {
            let words = if author == dev { SAID_MAX } else { usize::from(heard) };
            let said = device.said.iter().take(words).flatten().any(&is);
            authors |= u8::from(said) << author;
        }
        authors
    }

    /// What a device does with the word that it has just heard.
    fn react(&self, state: &mut State, dev: usize, word: Word) {
        let commits = Self::heard(state, dev, |it| *it == Word::Commit);
        let reveals = Self::heard(state, dev, |it| *it == Word::Reveal);
        let Some(me) = state.get_mut(dev) else { return };
        match (me.phase, word) {
            (Phase::Context, Word::Init) => {
                me.say(Word::Commit);
                me.phase = Phase::Freeze;
            }
            (Phase::Commits, Word::Commit) if self.quorum <= commits.count_ones() => {
                me.say(Word::Freeze(commits));
                me.reveal(dev, commits);
                me.phase = Phase::Reveals(commits);
            }
            (Phase::Freeze, Word::Freeze(frozen)) => {
                me.reveal(dev, frozen);
                me.phase = Phase::Finalize;
            }
            (Phase::Reveals(frozen), Word::Reveal) if reveals & frozen == frozen => {
                me.say(Word::Finalize);
                me.end(Phase::Finished);
            }
            (Phase::Finalize, Word::Finalize) => me.end(Phase::Finished),
            (Phase::Freeze | Phase::Finalize, Word::Abort) => me.end(Phase::Aborted),
            _ => {}
        }
    }
}

impl Model for Derivation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let blank =
            Device { phase: Phase::Context, heard: [0; DEVICES_MAX], said: [None; SAID_MAX] };
        let mut state = [blank; DEVICES_MAX];
        for spare in state.iter_mut().skip(self.devices) {
            spare.phase = Phase::Finished;
        }
        if let Some(decider) = state.first_mut() {
            decider.phase = Phase::Commits;
            decider.say(Word::Init);
            decider.say(Word::Commit);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (dev, device) in state.iter().enumerate().filter(|(_, it)| it.lives()) {
            for (author, (other, heard)) in state.iter().zip(device.heard).enumerate() {
                let next = other.said.get(usize::from(heard)).copied().flatten();
                if author != dev && next.is_some() {
                    actions.push(Action::Deliver(dev, author));
                }
            }
            actions.push(Action::Timeout(dev));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut after = *state;
        match action {
            Action::Deliver(dev, author) => {
                let heard = after.get_mut(dev)?.heard.get_mut(author)?;
                let word = state.get(author)?.said.get(usize::from(*heard)).copied()??;
                *heard += 1;
                self.react(&mut after, dev, word);
            }
            Action::Timeout(dev) => {
                let me = after.get_mut(dev)?;
                match me.phase {
                    Phase::Commits | Phase::Reveals(_) => {
                        me.say(Word::Abort);
                        me.end(Phase::Aborted);
                    }
                    Phase::Context => me.end(Phase::Stalled(0)),
                    Phase::Freeze => me.end(Phase::Stalled(1)),
                    _ => me.end(Phase::Stalled(2)),
                }
            }
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // Whoever finishes has heard the one key that is said; nobody may finish beside an abort
        // that the decider said.
        let decided = |_: &Self, state: &State| {
            let aborted = state.iter().any(|it| it.phase == Phase::Aborted);
            let finalized = state.iter().any(|it| it.said.contains(&Some(Word::Finalize)));
            !(aborted && finalized)
        };
        vec![Property::always("decision", decided)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::explorer::eager;
    use super::*;
    use stateright::Checker as _;

    #[test]
    fn it_is_the_model_of_the_running_code() {
        for (quorum, devices) in [(2, 2), (2, 3), (3, 3)] {
            let floor = Derivation { devices, quorum }.checker().threads(1).spawn_bfs().join();
            let ours = eager(quorum as u8, devices as u8).explore().unwrap();
            assert_eq!(ours.unique, floor.unique_state_count(), "{quorum} of {devices}");
            assert_eq!(floor.discoveries().len(), 0);
        }
    }
}
