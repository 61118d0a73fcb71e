//! What a guest computes most: hashes and signatures, the same natively and as a module.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

/// Runs a kernel so often, and returns something that depends on all of it.
#[must_use]
pub fn run(kernel: u8, rounds: u32) -> u64 {
    let data: Vec<u8> =
        (0..65_536u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let first = |bytes: &[u8]| bytes.iter().take(8).fold(0, |all, it| all << 8 | u64::from(*it));
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = key.sign(&data[..64]);
    (0..rounds).fold(0, |sum: u64, round| {
        sum.wrapping_add(
            match kernel {
                0 => first(&Sha256::digest(&data)),
                1 => first(blake3::hash(&data).as_bytes()),
                _ => u64::from(key.verifying_key().verify_strict(&data[..64], &signature).is_ok()),
            } ^ u64::from(round),
        )
    })
}

/// The marker of the interface.
#[unsafe(no_mangle)]
pub extern "C" fn aura_abi_1() {}

/// A buffer for the input.
#[unsafe(no_mangle)]
pub extern "C" fn aura_in(len: i32) -> i32 {
    vec![0u8; len as usize].leak().as_mut_ptr() as usize as i32
}

/// Kernel and rounds in, eight bytes out.
#[unsafe(no_mangle)]
pub extern "C" fn aura_step(address: i32, _len: i32) -> i64 {
    // SAFETY: the host wrote at least five bytes where `aura_in` said.
    let input = unsafe { core::slice::from_raw_parts(address as usize as *const u8, 5) };
    let rounds = u32::from_le_bytes([input[1], input[2], input[3], input[4]]);
    let output = run(input[0], rounds).to_le_bytes().to_vec().leak();
    output.as_ptr() as usize as i64 | 8 << 32
}
