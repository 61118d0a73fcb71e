//! The compile-time encoder writes what borsh writes.

use aura_protocol_core::descriptor::{MigrationOffer, ModuleRole};
use aura_protocol_sdk::{
    Capability, Descriptor, DescriptorConst, Digest, RoleConst, SchemaId, abi, encode,
};

const PROTOCOL: DescriptorConst = DescriptorConst {
    protocol: "aura.dkd-2",
    version: [1, 259, 65535],
    role: RoleConst::Protocol,
    capabilities: &[Capability::ReadRecords, Capability::Seal],
    session_types: &[b"a", b"", b"ccc"],
    schema: [7; 32],
    uses: &["aura.dkd", "aura.dkd-1", "b"],
    authors: "Grün",
    source: [9; 32],
};

const MIGRATION: DescriptorConst = DescriptorConst {
    role: RoleConst::Migration { from: "^1", from_schema: [5; 32], reversible: true },
    capabilities: &[],
    session_types: &[],
    uses: &[],
    ..PROTOCOL
};

const SECTION: [u8; PROTOCOL.encoded_len()] = PROTOCOL.encode();

fn expected() -> Descriptor {
    Descriptor {
        protocol: "aura.dkd-2".parse().unwrap(),
        version: "1.259.65535".parse().unwrap(),
        abi: abi::VERSION,
        role: ModuleRole::Protocol,
        capabilities: [Capability::ReadRecords, Capability::Seal].into(),
        session_types: vec![b"a".to_vec(), vec![], b"ccc".to_vec()],
        schema: SchemaId::from_bytes([7; 32]),
        uses: ["aura.dkd", "aura.dkd-1", "b"].map(|it| it.parse().unwrap()).into(),
        authors: "Grün".to_owned(),
        source: Digest::from_bytes([9; 32]),
    }
}

/// INV-S1
#[test]
fn a_protocol_encodes_as_borsh_encodes_it() {
    assert_eq!(SECTION.as_slice(), encode(&expected()));
    assert_eq!(PROTOCOL.descriptor(), expected());
}

/// INV-S1
#[test]
fn a_migration_encodes_as_borsh_encodes_it() {
    let role = ModuleRole::Migration(MigrationOffer {
        from: "^1".parse().unwrap(),
        from_schema: SchemaId::from_bytes([5; 32]),
        reversible: true,
    });
    let (capabilities, session_types, uses) = Default::default();
    let expected = Descriptor { role, capabilities, session_types, uses, ..expected() };
    const LEN: usize = MIGRATION.encoded_len();
    assert_eq!(MIGRATION.encode::<LEN>().as_slice(), encode(&expected));
    assert_eq!(MIGRATION.descriptor(), expected);
}

/// What no host would accept does not compile; at run time the same checks panic.
#[test]
fn an_unacceptable_descriptor_does_not_encode() {
    let refused = [
        DescriptorConst { protocol: "Counter", ..MIGRATION },
        DescriptorConst { protocol: "", ..MIGRATION },
        DescriptorConst { protocol: "a..b", ..MIGRATION },
        DescriptorConst { protocol: "a.", ..MIGRATION },
        DescriptorConst { protocol: "2a", ..MIGRATION },
        DescriptorConst { uses: &["b", "a"], ..MIGRATION },
        DescriptorConst { uses: &["a", "a"], ..MIGRATION },
        DescriptorConst { uses: &["a", "B"], ..MIGRATION },
        DescriptorConst { capabilities: &[Capability::Seal, Capability::Seal], ..MIGRATION },
        DescriptorConst { session_types: &[&[0; 17 << 10]], ..MIGRATION },
    ];
    for (index, descriptor) in refused.into_iter().enumerate() {
        let encoded = std::panic::catch_unwind(|| descriptor.encode::<0>());
        let message = *encoded.unwrap_err().downcast::<&str>().unwrap();
        assert_ne!(message, "N is not the length of the encoding", "{index}");
    }
}
