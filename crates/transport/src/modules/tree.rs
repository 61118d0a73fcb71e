//! The BLAKE3 tree of a module: how it is cut, encoded and verified. The only file that names
//! `bao-tree`, which knows the geometry; the hashing is BLAKE3's own.

use std::vec;

use aura_protocol_core::{Digest, limits::MODULE_BYTES_MAX};
use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode,
    io::{outboard::PostOrderMemOutboard, sync::Outboard},
    iter::BaoChunk,
};
use blake3::{
    Hash, Hasher,
    hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use bytes::Bytes;

/// Bytes that are verified together: sixteen BLAKE3 chunks. Smaller groups would cost more hash
/// pairs on the wire (0.4 % now), larger ones would waste more on a lie.
pub(super) const GROUP_BYTES: usize = 16 << 10;
const BLOCK_SIZE: BlockSize = BlockSize::from_chunk_log(4);
/// A hash pair on the wire.
const PAIR_BYTES: usize = 64;
/// Bytes of a BLAKE3 chunk.
const CHUNK_BYTES: usize = 1024;

const _: () = assert!(CHUNK_BYTES << 4 == GROUP_BYTES);
const _: () = assert!(MODULE_BYTES_MAX.is_multiple_of(GROUP_BYTES));

/// One item of the encoding, in pre-order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pair { node: TreeNode, is_root: bool, left: bool, right: bool },
    Group { at: usize, bytes: usize, is_root: bool },
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Self::Pair { .. } => PAIR_BYTES,
            Self::Group { bytes, .. } => *bytes,
        }
    }
}

/// Both sides follow the same plan. At most 511 steps, since a module has at most 4 MiB.
fn plan(size: usize, from_byte: usize) -> Vec<Step> {
    let from = ChunkNum((from_byte / CHUNK_BYTES) as u64);
    let ranges = ChunkRanges::from(from..);
    tree(size)
        .ranges_pre_order_chunks_iter_ref(&ranges, 0)
        .map(|item| match item {
            BaoChunk::Parent { node, is_root, left, right, .. } => {
                Step::Pair { node, is_root, left, right }
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                Step::Group { at: start_chunk.to_bytes() as usize, bytes: size, is_root }
            }
        })
        .collect()
}

fn tree(size: usize) -> BaoTree {
    BaoTree::new(size as u64, BLOCK_SIZE)
}

/// Whether a transfer of `size` bytes may begin at `from_byte`.
pub(super) fn is_start(size: usize, from_byte: usize) -> bool {
    from_byte < size && from_byte.is_multiple_of(GROUP_BYTES)
}

/// Whole groups in `bytes`, or all of them if that is the module's end.
pub(super) fn verified_length(size: usize, bytes: usize) -> usize {
    if bytes == size { size } else { bytes - bytes % GROUP_BYTES }
}

/// A module with the hashes of its tree, ready to be sent.
pub(super) struct Encoder {
    module: Bytes,
    outboard: PostOrderMemOutboard,
    steps: vec::IntoIter<Step>,
}

impl Encoder {
    pub(super) fn new(module: Bytes, from_byte: usize) -> Self {
        let outboard = PostOrderMemOutboard::create(&module, BLOCK_SIZE);
        let steps = plan(module.len(), from_byte).into_iter();
        Self { module, outboard, steps }
    }

    /// The module's true digest.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(*self.outboard.root().as_bytes())
    }
}

impl Iterator for Encoder {
    type Item = Bytes;

    /// The next hash pair or group.
    fn next(&mut self) -> Option<Bytes> {
        match self.steps.next()? {
            Step::Group { at, bytes, .. } => Some(self.module.slice(at..at + bytes)),
            Step::Pair { node, .. } => {
                let (left, right) = self.outboard.load(node).ok().flatten()?;
                Some([*left.as_bytes(), *right.as_bytes()].concat().into())
            }
        }
    }
}

/// Bytes that do not belong to the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unverified;

/// Checks an encoding item by item.
pub(super) struct Verifier {
    steps: vec::IntoIter<Step>,
    /// Hashes that the coming subtrees must have, next on top.
    expected: Vec<Hash>,
}

impl Verifier {
    pub(super) fn new(digest: &Digest, size: usize, from_byte: usize) -> Self {
        let expected = vec![Hash::from_bytes(*digest.as_bytes())];
        Self { steps: plan(size, from_byte).into_iter(), expected }
    }

    /// Length of the next item; `None` at the end.
    pub(super) fn next_bytes(&self) -> Option<usize> {
        self.steps.as_slice().first().map(Step::bytes)
    }

    /// Checks the next item, which has [`next_bytes`](Self::next_bytes). Gives it back if it is
    /// module data.
    pub(super) fn verify<'a>(&mut self, item: &'a [u8]) -> Result<Option<&'a [u8]>, Unverified> {
        let step = self.steps.next().filter(|it| it.bytes() == item.len()).ok_or(Unverified)?;
        let expected = self.expected.pop().ok_or(Unverified)?;
        match step {
            Step::Group { at, is_root, .. } => {
                let actual = group_hash(at, item, is_root);
                if actual == expected { Ok(Some(item)) } else { Err(Unverified) }
            }
            Step::Pair { is_root, left, right, .. } => {
                let (left_hash, right_hash) = split_pair(item).ok_or(Unverified)?;
                if pair_hash(&left_hash, &right_hash, is_root) != expected {
                    return Err(Unverified);
                }
                self.expected.extend(right.then_some(right_hash));
                self.expected.extend(left.then_some(left_hash));
                Ok(None)
            }
        }
    }
}

fn split_pair(item: &[u8]) -> Option<(Hash, Hash)> {
    let (left, right) = item.split_at_checked(PAIR_BYTES / 2)?;
    Some((Hash::from_slice(left).ok()?, Hash::from_slice(right).ok()?))
}

fn group_hash(at: usize, group: &[u8], is_root: bool) -> Hash {
    if is_root {
        return blake3::hash(group);
    }
    let mut hasher = Hasher::new();
    hasher.set_input_offset(at as u64).update(group);
    Hash::from_bytes(hasher.finalize_non_root())
}

fn pair_hash(left: &Hash, right: &Hash, is_root: bool) -> Hash {
    if is_root {
        merge_subtrees_root(left.as_bytes(), right.as_bytes(), Mode::Hash)
    } else {
        merge_subtrees_non_root(left.as_bytes(), right.as_bytes(), Mode::Hash).into()
    }
}

#[cfg(test)]
mod tests {
    use bao_tree::io::sync::encode_ranges_validated;
    use proptest::prelude::*;

    use super::*;

    fn module(size: usize) -> Bytes {
        (0..size as u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
    }

    fn decode(digest: &Digest, size: usize, from: usize, mut encoded: &[u8]) -> (Vec<u8>, bool) {
        let mut verifier = Verifier::new(digest, size, from);
        let mut data = Vec::new();
        while let Some(length) = verifier.next_bytes() {
            let Some((item, rest)) = encoded.split_at_checked(length) else { return (data, false) };
            match verifier.verify(item) {
                Ok(group) => data.extend_from_slice(group.unwrap_or_default()),
                Err(Unverified) => return (data, false),
            }
            encoded = rest;
        }
        (data, encoded.is_empty())
    }

    fn encode(module: &Bytes, from: usize) -> Vec<u8> {
        Encoder::new(module.clone(), from).flatten().collect()
    }

    #[test]
    fn every_shape_of_tree_goes_through() {
        let group = GROUP_BYTES;
        for size in
            [1, 1023, 1025, group - 1, group, group + 1, 3 * group, 4 * group + 7, 7 * group]
        {
            let module = module(size);
            let digest = Digest::of(&module);
            assert_eq!(Encoder::new(module.clone(), 0).digest(), digest);
            for from in (0..size).step_by(group) {
                let encoded = encode(&module, from);
                let (data, is_whole) = decode(&digest, size, from, &encoded);
                assert!(is_whole && data == module[from..], "{size} from {from}");
            }
        }
    }

    #[test]
    fn a_largest_module_costs_half_a_percent() {
        let module = module(MODULE_BYTES_MAX);
        let encoded = encode(&module, 0).len();
        assert!(encoded - MODULE_BYTES_MAX < MODULE_BYTES_MAX / 200, "{encoded}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Our encoding is bao's: anybody's implementation may serve us and be served.
        #[test]
        fn the_encoding_is_bao(size in 1_usize..200_000, group in 0_usize..12) {
            let (module, from) = (module(size), group * GROUP_BYTES);
            prop_assume!(is_start(size, from));
            let outboard = PostOrderMemOutboard::create(&module, BLOCK_SIZE);
            let ranges = ChunkRanges::from(ChunkNum((from / CHUNK_BYTES) as u64)..);
            let mut theirs = Vec::new();
            encode_ranges_validated(&module[..], &outboard, &ranges, &mut theirs).unwrap();
            prop_assert_eq!(encode(&module, from), theirs);
        }

        /// INV-T7: whatever byte is flipped, nothing from its group on is let through.
        #[test]
        fn a_flipped_byte_is_found_within_its_group(
            size in 1_usize..200_000,
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let module = module(size);
            let mut encoded = encode(&module, 0);
            let at = at.index(encoded.len());
            encoded[at] ^= 1 << bit;
            let (data, is_whole) = decode(&Digest::of(&module), size, 0, &encoded);
            prop_assert!(!is_whole);
            prop_assert_eq!(&data[..], &module[..data.len()]);
            prop_assert!(data.len() <= at && at < data.len() + GROUP_BYTES + 32 * PAIR_BYTES);
        }

        /// Hostile bytes never panic, whatever their shape.
        #[test]
        fn garbage_is_refused(size in 1_usize..100_000, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (data, is_whole) = decode(&Digest::from_bytes([9; 32]), size, 0, &bytes);
            prop_assert!(!is_whole && data.is_empty());
        }
    }
}
