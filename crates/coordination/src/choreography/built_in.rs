//! The protocols of this crate as devices run them: without a release, the same in every program of one
//! version.

use std::sync::Arc;

use aura_choreography::Script;
use aura_protocol_core::{
    Capability, Descriptor, Digest, ProtocolName, ProtocolVersion, SchemaId, abi,
    descriptor::ModuleRole,
};

use crate::{
    choreography::{
        dkd::{Dkd, script::dkd},
        dkg::{Dkg, script::dkg},
        recovery::{Recovery, script::recovery},
        resharing::{Resharing, script::resharing},
    },
    execution::{BuiltIn, NativeProtocol, NativeScript},
};

/// The protocols that use the account's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyProtocol {
    /// Makes them.
    Generate,
    /// Derives others from them.
    Derive,
    /// Gives them to other holders.
    Reshare,
    /// Brings them back from guardians.
    Recover,
}

impl KeyProtocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Generate, Self::Derive, Self::Reshare, Self::Recover];

    /// Its name among protocols.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generate => dkg::GLOBAL.name,
            Self::Derive => dkd::GLOBAL.name,
            Self::Reshare => resharing::GLOBAL.name,
            Self::Recover => recovery::GLOBAL.name,
        }
    }

    /// What it says of itself. None only if its name were none.
    #[must_use]
    pub fn descriptor(self) -> Option<Descriptor> {
        const GENERATE: [u8; dkg::GLOBAL.text_len()] = dkg::GLOBAL.text();
        const DERIVE: [u8; dkd::GLOBAL.text_len()] = dkd::GLOBAL.text();
        const RESHARE: [u8; resharing::GLOBAL.text_len()] = resharing::GLOBAL.text();
        const RECOVER: [u8; recovery::GLOBAL.text_len()] = recovery::GLOBAL.text();
        let (capabilities, text): (&[Capability], _) = match self {
            Self::Generate => (&[Capability::Seal], GENERATE.to_vec()),
            Self::Derive => (&[Capability::DeriveKey], DERIVE.to_vec()),
            Self::Reshare => (&[Capability::Seal, Capability::Sign], RESHARE.to_vec()),
            Self::Recover => (&[Capability::Seal, Capability::Sign], RECOVER.to_vec()),
        };
        Some(Descriptor {
            protocol: self.name().parse::<ProtocolName>().ok()?,
            version: ProtocolVersion::new(1, 0, 0),
            abi: abi::VERSION,
            role: ModuleRole::Protocol,
            capabilities: capabilities.iter().copied().collect(),
            session_types: vec![text],
            schema: SchemaId::of(""),
            uses: [].into(),
            authors: String::new(),
            source: Digest::ZERO,
        })
    }

    /// The protocol, to be run.
    #[must_use]
    pub fn protocol(self) -> Option<Arc<dyn NativeProtocol>> {
        let script: &'static dyn Script = match self {
            Self::Generate => &Dkg,
            Self::Derive => &Dkd,
            Self::Reshare => &Resharing,
            Self::Recover => &Recovery,
        };
        Some(Arc::new(NativeScript::new(script, self.descriptor()?)))
    }

    /// What its sessions are opened under.
    #[must_use]
    pub fn built_in(self) -> Option<BuiltIn> {
        Some(BuiltIn::of(&self.descriptor()?))
    }

    /// The one whose steps are asked for under this digest.
    #[must_use]
    pub fn of_digest(digest: &Digest) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.built_in().is_some_and(|it| it.digest == *digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_digest_of_its_own() {
        for protocol in KeyProtocol::ALL {
            let built_in = protocol.built_in().unwrap();
            assert_eq!(KeyProtocol::of_digest(&built_in.digest), Some(protocol));
            assert_eq!(protocol.protocol().unwrap().descriptor(), protocol.descriptor().unwrap());
        }
        assert_eq!(KeyProtocol::of_digest(&Digest::ZERO), None);
        assert_eq!(
            KeyProtocol::ALL.map(KeyProtocol::name),
            ["dkg", "dkd", "resharing", "recovery"]
        );
    }
}
