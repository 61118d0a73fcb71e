//! A key derivation: commit, freeze, reveal, finalize.

use aura_choreography::{DeviceSet, Payload, Reason, Stop, choreography, session};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::table::Table;

/// What is derived.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize, Payload)]
pub struct Initiate {
    /// Under which name.
    pub context: String,
    /// For which epoch.
    pub epoch: u64,
}

session! {
    /// Derives a key.
    pub mod dkd;
    msg {
        Init(Initiate),
        Commit(u64),
        Freeze(DeviceSet),
        Reveal(u64),
        Finalize(u64),
        Abort(Reason),
    }
    write init: Init;
    each commit: Commit;
    decide freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide finalize: on Reveal[among Freeze] within 50 => Finalize | Abort;
}

const fn blind(share: u64) -> u64 {
    share.wrapping_mul(31).wrapping_add(17)
}

/// Derives a key.
#[choreography(Dkd)]
pub async fn derive(s: dkd::Start) -> Result<dkd::Finished<u64>, Stop> {
    let init = |_: &_| Ok(Initiate { context: "mail".into(), epoch: 3 });
    let (s, initiate) = s.init(init).await?;
    let (s, share) = s
        .commit(|me| {
            let share = u64::from(me.id().0) + initiate.epoch;
            Ok((blind(share), share))
        })
        .await?;
    let (s, freeze, commits) = s
        .freeze(|_, commits| Ok((commits.iter().map(|it| it.0).collect(), commits.to_vec())))
        .await?;
    let (s, _) = s.reveal(|me| share.here(me).map(|it| (*it, ()))).await?;
    let (s, key, _) = s
        .finalize(|me, reveals| {
            let commits = commits.here(me)?;
            let lied = |it: &&(_, u64)| {
                commits.iter().any(|commit| commit.0 == it.0 && commit.1 != blind(it.1))
            };
            let culprits: DeviceSet = reveals.iter().filter(lied).map(|it| it.0).collect();
            if !culprits.is_empty() {
                return Err(Reason::Byzantine { culprits });
            }
            Ok((reveals.iter().map(|it| it.1).sum(), ()))
        })
        .await?;
    let key = key.zip(freeze).map(|(key, freeze)| key * 100 + freeze.len() as u64);
    Ok(s.finish(key))
}

static DKD: Dkd = Dkd;

#[test]
fn five_devices_derive_one_key() {
    let table = Table::new(&DKD, 5).run();
    // A quorum of 5 is 4: the opener freezes itself and those it heard first.
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3, 4]), (3 + 4 + 5 + 6) * 100 + 4);
    assert_eq!(table.said_by(0), ["Init", "Commit", "Freeze", "Reveal", "Finalize"]);
    assert_eq!(table.said_by(4), ["Commit"]);
}
