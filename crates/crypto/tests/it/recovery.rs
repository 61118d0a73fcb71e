//! Recovery: guardians give the key to new devices, and no machine ever holds it.

use aura_crypto::{Derivation, Holders, Signing, reshare, reshare::ReshareError};

use super::world::{self, context, deal, indices, ix, request, rng};

/// INV-C10: devices share a second time to guardians; when all devices are lost, three guardians
/// reshare to new ones: same public key, same derived keys.
#[test]
fn guardians_bring_the_account_back() {
    let mut rng = rng(1);
    let devices = indices([1, 2, 3]);
    let signing = world::generate::<Signing>(2, &devices, &mut rng);
    let root = world::generate::<Derivation>(2, &devices, &mut rng);
    let key = signing.sharing.public_key().unwrap();
    let name = request("identity");
    let derived = world::derive(&root, &indices([1, 3]), &name, &mut rng).claim();
    let to_guardians = (Holders::Guardians, 3);
    let guardians = indices([101, 102, 103, 104, 105]);
    let quorum = indices([1, 2]);
    let kept = world::reshare(&signing, &quorum, to_guardians, &guardians, &mut rng);
    let kept_root = world::reshare(&root, &quorum, to_guardians, &guardians, &mut rng);
    assert_eq!(kept.sharing.context().holders, Holders::Guardians);
    drop((signing, root));
    let to_devices = (Holders::Devices, 2);
    let (new, helpers) = (indices([11, 12, 13]), indices([101, 103, 105]));
    let new_signing = world::reshare(&kept, &helpers, to_devices, &new, &mut rng);
    let new_root = world::reshare(&kept_root, &helpers, to_devices, &new, &mut rng);
    assert_eq!(new_signing.sharing.public_key().unwrap(), key);
    let signature = world::sign(&new_signing, &indices([12, 13]), &context(), b"back", &mut rng);
    assert_eq!(key.verify(&context(), b"back", &signature), Ok(()));
    let again = world::derive(&new_root, &indices([11, 13]), &name, &mut rng).claim();
    assert_eq!(again, derived);
}

/// Two guardians of three needed do not even begin, and shares of guardians and of devices, each one
/// short, do not complete each other.
#[test]
fn too_few_guardians_recover_nothing() {
    let mut rng = rng(2);
    let devices = indices([1, 2, 3]);
    let signing = world::generate::<Signing>(2, &devices, &mut rng);
    let guardians = indices([101, 102, 103]);
    let to = (Holders::Guardians, 3);
    let kept = world::reshare(&signing, &indices([1, 2]), to, &guardians, &mut rng);
    let honest = deal(&kept, &guardians, (Holders::Devices, 2), &indices([11, 12]), &mut rng);
    let mut plan = honest.plan.clone();
    plan.dealers.remove(&ix(103));
    let share = &kept.shares[&ix(101)];
    let refused = reshare::deal(&plan, share, &kept.sharing, &mut rng).map(|_| ());
    assert!(matches!(refused, Err(ReshareError::Plan(_))));
    let refused = reshare::combine(&plan, &kept.sharing, &honest.dealings);
    assert!(matches!(refused, Err(ReshareError::Plan(_))));
    // A device's share stands in no guardians' sharing, though both are of one key.
    let device = &signing.shares[&ix(1)];
    let refused = reshare::deal(&honest.plan, device, &kept.sharing, &mut rng).map(|_| ());
    assert!(matches!(refused, Err(ReshareError::Sharing(_))));
    let refused = reshare::deal(&honest.plan, device, &signing.sharing, &mut rng).map(|_| ());
    assert!(matches!(refused, Err(ReshareError::Plan(_))));
}
