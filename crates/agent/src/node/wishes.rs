//! What the person at this device wants to be changed: a device that leaves in order, other numbers.
//!
//! It is decided when the persons at m devices have said so. A wish is forgotten when it is met, when it cannot
//! be, and when the device is started again.

use aura_coordination::choreography::resharing::{Side, Unchanged};
use aura_distribution::{Change, ChangeError};

use crate::{
    api::{DeviceLeft, Response, ThresholdSet},
    error::{AgentError, Whose},
    node::{Effect, Node, RequestId, control::Intent},
};

impl Node {
    /// Numbers as a person gives them: the shares follow the votes unless they are given apart.
    pub(super) fn set_threshold(
        &mut self,
        id: RequestId,
        votes: u16,
        shares: Option<u16>,
    ) -> Result<Option<Response>, AgentError> {
        let change = Change::Thresholds { votes, shares: shares.unwrap_or(votes) };
        self.want(id, change)
    }

    /// Remembers what the person here wants, and begins with it.
    pub(super) fn want(
        &mut self,
        id: RequestId,
        change: Change,
    ) -> Result<Option<Response>, AgentError> {
        change.of(self.ledger.chain().config()).map_err(|error| refused(&error))?;
        if let Some((target, _)) = self.wish_for_keys(change) {
            let from = self.keys().map(Side::of).ok_or_else(no_share)?;
            if let Some(unchanged) = self.hindered(&from, &target) {
                return Err(offline(&unchanged));
            }
        }
        self.wanted.insert(change);
        self.intents.push_back(Intent::Change { change, id });
        self.reshare_at_once();
        Ok(None)
    }

    /// Whoever waits for a wish that came to nothing is told why. Nothing has changed.
    pub(super) fn give_up_wishes(&mut self, why: &Unchanged) {
        for intent in std::mem::take(&mut self.intents) {
            match intent {
                Intent::Change { change, id } if self.wish_for_keys(change).is_some() => {
                    self.wanted.remove(&change);
                    self.out.push(Effect::Answer { id, result: Err(offline(why)) });
                }
                other => self.intents.push_back(other),
            }
        }
    }

    /// A wish is met, or cannot be met any more.
    pub(super) fn wish_over(&mut self, change: Change, id: RequestId) {
        self.wanted.remove(&change);
        let config = self.ledger.chain().config();
        let k = self.ledger.chain().height();
        let result = match (change, change.of(config)) {
            (Change::Remove(device), Err(ChangeError::NoMember(_))) => {
                let (device, name) = (device.to_string(), self.device_name(device));
                Ok(Response::DeviceLeft(DeviceLeft { device, name, k }))
            }
            (Change::Thresholds { .. }, Err(ChangeError::Nothing)) => {
                let (votes, shares, devices) = (config.m, config.t_sign, config.voters().count());
                Ok(Response::ThresholdSet(ThresholdSet { votes, shares, devices, k }))
            }
            (_, Err(error)) => Err(refused(&error)),
            (_, Ok(_)) => return,
        };
        self.out.push(Effect::Answer { id, result });
    }
}

fn refused(error: &ChangeError) -> AgentError {
    let code = match error {
        ChangeError::NoMember(_) => "UnknownDevice",
        ChangeError::Nothing => "NothingToChange",
        _ => "BadThreshold",
    };
    AgentError::new(code, error, Whose::Caller, "see `aura status` and `aura device list`")
}

fn no_share() -> AgentError {
    AgentError::new(
        "NoKeys",
        "this device holds no share of the account's keys, and can give none to others",
        Whose::Nobody,
        "say it at a device that holds one; `aura status` tells",
    )
}

fn offline(unchanged: &Unchanged) -> AgentError {
    AgentError::new(
        "NotReshared",
        unchanged,
        Whose::Nobody,
        "start the devices that are missing, see `aura device list`, and try again",
    )
}
