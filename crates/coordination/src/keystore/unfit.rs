//! Why the dealings of others lead to nothing.

use aura_choreography::DeviceSet;

use super::Refusal;

/// Why a part is not there: somebody is guilty, or it is nobody's fault that all can see.
pub(super) enum Unfit {
    Guilty(DeviceSet),
    Differ,
    Refused(Refusal),
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Unfit {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Guilty(devices) => Refusal::Failed(format!("devices {devices} broke the rules")),
            Self::Differ => Refusal::Differ,
            Self::Refused(refusal) => refusal,
        }
    }
}
