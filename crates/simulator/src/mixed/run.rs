//! Runs of three sessions, each of either version.

use aura_choreography::{Dev, DeviceSet, Reason};
use aura_protocol_core::session_type::Side;

use super::{
    Interpreted, Verdict,
    running::{COUNT, Move, Running},
    said::Told,
    script::Roles,
};
use crate::draw::mix;

/// Most things that happen in one run. Types are bounded, and so are their loops.
const MOVES_MAX: u64 = 100_000;
/// One run in so many has somebody use a right to stop a decision, and then it is used soon.
const SIGNAL_ONE_IN: u64 = 4;
/// One decision in so many is for giving up.
const NO_ONE_IN: u64 = 6;

/// Which version each of three devices runs, and who plays which role.
pub struct Mix {
    pub(super) scripts: [&'static Interpreted; COUNT],
    pub(super) roles: Roles,
}

/// The versions of every mix, those of one version alone included.
pub fn mixes() -> impl Iterator<Item = [Side; COUNT]> {
    let side = |mix: u8, it: usize| if mix >> it & 1 == 0 { Side::Old } else { Side::New };
    (0..1_u8 << COUNT).map(move |mix| std::array::from_fn(|it| side(mix, it)))
}

impl Mix {
    /// A mix of an old and a new version, where these devices play these roles, `Opener` and `All`
    /// among them.
    #[must_use]
    pub fn new(
        (old, new): (&'static Interpreted, &'static Interpreted),
        versions: [Side; COUNT],
        roles: &[(String, Vec<u8>)],
    ) -> Self {
        let set = |it: &Vec<u8>| it.iter().map(|it| Dev(*it)).collect::<DeviceSet>();
        let scripts = versions.map(|it| if it == Side::Old { old } else { new });
        Self { scripts, roles: roles.iter().map(|(name, it)| (name.clone(), set(it))).collect() }
    }

    /// The run of a seed: it says what is delivered when, and what is decided.
    ///
    /// # Errors
    /// [`Reason`] when the roles do not fit the types.
    pub fn run(&self, seed: u64) -> Result<Verdict, Reason> {
        let mut running = Running::new(self)?;
        let mut dice = Dice(mix(seed));
        let mut signals = dice.one_in(SIGNAL_ONE_IN);
        for _ in 0..MOVES_MAX {
            let able = running.signallers();
            if signals && !able.is_empty() && dice.one_in(SIGNAL_ONE_IN) {
                signals = false;
                running.signal(dice.pick(&able));
                continue;
            }
            let moves = running.moves();
            match dice.pick(&moves) {
                Some(Move::Decide(device)) => {
                    let told = dice.decision(running.ways(device));
                    running.tell(device, &told);
                }
                Some(other) => running.make(other),
                None => {
                    let late = running.late();
                    let Some(late) = dice.pick(&late) else { break };
                    running.time_out(late);
                }
            }
        }
        Ok(running.verdict())
    }
}

/// A stream of numbers that is the same for the same seed.
struct Dice(u64);

impl Dice {
    const fn one_in(&mut self, count: u64) -> bool {
        self.0 = mix(self.0);
        self.0.is_multiple_of(count)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.0 = mix(self.0);
        let at = self.0.checked_rem(from.len() as u64)?;
        from.get(usize::try_from(at).ok()?).copied()
    }

    /// One of so many ways, the last of which may be to give up.
    fn decision(&mut self, ways: usize) -> Told {
        let all: Vec<usize> = (0..ways).collect();
        let first = if ways == 2 && !self.one_in(NO_ONE_IN) { Some(0) } else { self.pick(&all) };
        let way = first.and_then(|it| u8::try_from(it).ok()).unwrap_or_default();
        Told { way, devices: None }
    }
}
