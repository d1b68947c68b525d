//! The tree against RFC 6962's vectors and two other people's trees, and what the tests of the
//! files beside it share.

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{TileHashReader, TileReader};

use super::*;

/// A tree whose leaves are their own indexes, eight bytes big-endian.
pub(super) fn tree(size: u64) -> Levels {
    let mut tree = Levels::new();
    for index in 0..size {
        tree.push(leaf_hash(&index.to_be_bytes()));
    }
    tree
}

/// A file as it is after a few bytes were replaced, inserted, removed or doubled.
pub(super) fn edited(file: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    // Bytes that mean something in some format are the likelier.
    let byte = prop_oneof![
        prop::sample::select(b"\n \t0+=/xp.-A\0".to_vec()),
        any::<u8>()
    ];
    let edit = (any::<prop::sample::Index>(), 0..4_u8, byte);
    prop::collection::vec(edit, 0..4).prop_map(move |edits| {
        let mut file = file.clone();
        for (at, kind, byte) in edits {
            let at = at.index(file.len() + 1);
            match kind {
                0 if at < file.len() => file[at] = byte,
                1 if at < file.len() => drop(file.remove(at)),
                2 => file.truncate(at),
                _ => file.insert(at, byte),
            }
        }
        file
    })
}

/// A file with exactly one byte changed, in every possible way.
pub(super) fn flipped(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = (0..file.len()).flat_map(|at| (1..=255_u8).map(move |change| (at, change)));
    places.map(|(at, change)| {
        let mut file = file.to_vec();
        file[at] ^= change;
        file
    })
}

fn hex(hash: &Hash) -> String {
    hash.as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The leaves that Certificate Transparency's implementations are tested with, and their roots.
#[test]
fn the_vectors_of_certificate_transparency() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(
        hex(&empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let (mut frontier, mut levels) = (Frontier::new(), Levels::new());
    assert_eq!((frontier.root(), frontier.size()), (empty_root(), 0));
    assert_eq!((levels.root_at(0), levels.size()), (Ok(empty_root()), 0));
    for (size, (leaf, root)) in (1..).zip(leaves.iter().zip(roots)) {
        frontier.push(leaf_hash(leaf));
        levels.push(leaf_hash(leaf));
        assert_eq!(hex(&frontier.root()), root);
        assert_eq!(hex(&levels.root_at(size).unwrap()), root);
        assert_eq!((frontier.size(), levels.size()), (size, size));
    }
}

/// The tree of seven leaves that RFC 6962 section 2.1.3 and RFC 9162 section 2.1.5 draw.
#[test]
fn the_examples_of_the_rfc() {
    let tree = tree(7);
    let leaf = |index| tree.hash_at(0, index).unwrap();
    let (c, d, f, j) = (leaf(2), leaf(3), leaf(5), leaf(6));
    let node = |level, index| tree.hash_at(level, index).unwrap();
    let (g, h, i, k) = (node(1, 0), node(1, 1), node(1, 2), node(2, 0));
    let l = node_hash(&i, &j);
    let b = leaf(1);
    assert_eq!(tree.inclusion(0, 7).unwrap(), [b, h, l]);
    assert_eq!(tree.inclusion(3, 7).unwrap(), [c, g, l]);
    assert_eq!(tree.inclusion(4, 7).unwrap(), [f, j, k]);
    assert_eq!(tree.inclusion(6, 7).unwrap(), [i, k]);
    assert_eq!(tree.consistency(3, 7).unwrap(), [c, d, g, l]);
    assert_eq!(tree.consistency(4, 7).unwrap(), [l]);
    assert_eq!(tree.consistency(6, 7).unwrap(), [i, j, k]);
}

/// What `ct-merkle` has after as many leaves.
type Theirs = MemoryBackedTree<Sha256, [u8; 8]>;

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// The largest tree of the comparison, and up to where every pair of numbers is tried.
const SIZE_MAX: u64 = 2000;
const EVERY_PAIR_MAX: u64 = 100;

/// Numbers below `bound`: all of them in a small tree, some of the same kinds in a large one.
fn chosen(bound: u64) -> Vec<u64> {
    if bound <= EVERY_PAIR_MAX {
        return (0..bound).collect();
    }
    let mut noise = [0; 16];
    getrandom::fill(&mut noise).unwrap();
    let (one, two) = noise.split_at(8);
    let random = [one, two].map(|half| u64::from_be_bytes(half.try_into().unwrap()) % bound);
    let power = 1 << bound.ilog2();
    let kinds = [random[0], random[1], bound - 1, power % bound];
    kinds.to_vec()
}

#[test]
fn every_root_and_proof_is_that_of_ct_merkle() {
    let mut theirs = Theirs::new();
    let (mut frontier, ours) = (Frontier::new(), tree(SIZE_MAX));
    assert_eq!(empty_root().as_bytes(), theirs.root().as_bytes().as_slice());
    for size in 1..=SIZE_MAX {
        let leaf = (size - 1).to_be_bytes();
        theirs.push(leaf);
        frontier.push(leaf_hash(&leaf));
        let root = ours.root_at(size).unwrap();
        assert_eq!(root, frontier.root());
        assert_eq!(root.as_bytes(), theirs.root().as_bytes().as_slice());
        for index in chosen(size) {
            let proof = ours.inclusion(index, size).unwrap();
            let their_proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(bytes(&proof), their_proof.as_bytes(), "{index} {size}");
            let leaf = leaf_hash(&index.to_be_bytes());
            verify_inclusion(&leaf, index, size, &proof, &root).unwrap();
            if is_spoiled_too(size) {
                is_the_only_path(&leaf, index, size, &proof, &root);
            }
        }
        for old in chosen(size) {
            let proof = ours.consistency(old, size).unwrap();
            let old_root = ours.root_at(old).unwrap();
            verify_consistency(old, &old_root, size, &root, &proof).unwrap();
            if old == 0 {
                // The RFC, and `ct-merkle`, have no proof from nothing.
                assert!(proof.is_empty());
                continue;
            }
            let added = usize::try_from(size - old).unwrap();
            let their_proof = theirs.prove_consistency(added);
            assert_eq!(bytes(&proof), their_proof.as_bytes(), "{old} {size}");
            if is_spoiled_too(size) {
                is_the_only_history(old, &old_root, size, &root, &proof);
            }
        }
    }
}

/// In large trees spoiled proofs take long and teach little.
fn is_spoiled_too(size: u64) -> bool {
    size <= EVERY_PAIR_MAX || size.is_multiple_of(10)
}

/// A path that is shorter, longer or changed in one place is refused, by `ct-merkle` too.
fn is_the_only_path(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) {
    for bad in spoiled(proof) {
        let verdict = verify_inclusion(leaf, index, size, &bad, root);
        assert_eq!(verdict, Err(TlogError::Inclusion { index, size }));
        let proof = InclusionProof::<Sha256>::from_bytes(bytes(&bad));
        let root = RootHash::<Sha256>::new((*root.as_bytes()).into(), size);
        let theirs = root.verify_inclusion(&index.to_be_bytes(), index, &proof);
        assert!(theirs.is_err());
    }
}

fn is_the_only_history(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) {
    for bad in spoiled(proof) {
        let verdict = verify_consistency(old, old_root, new, new_root, &bad);
        assert_eq!(verdict, Err(TlogError::Consistency { old, new }));
        let Ok(proof) = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&bad)) else {
            continue;
        };
        let their_old = RootHash::<Sha256>::new((*old_root.as_bytes()).into(), old);
        let their_new = RootHash::<Sha256>::new((*new_root.as_bytes()).into(), new);
        assert!(their_new.verify_consistency(&their_old, &proof).is_err());
    }
    for (old_root, new_root) in [(new_root, new_root), (old_root, old_root)] {
        assert!(verify_consistency(old, old_root, new, new_root, proof).is_err());
    }
}

/// A proof cut, lengthened, and with its first and its last hash changed.
fn spoiled(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut spoiled = vec![[proof, &[leaf_hash(b"more")]].concat()];
    if let [first @ .., _] = proof {
        spoiled.push(first.to_vec());
        for at in [0, first.len()] {
            let mut changed = proof.to_vec();
            let mut hash = *changed[at].as_bytes();
            hash[at % 32] ^= 1;
            changed[at] = Hash::from_bytes(hash);
            spoiled.push(changed);
        }
    }
    spoiled
}

#[test]
fn no_path_leads_from_two_places() {
    for size in 1..=40 {
        let tree = tree(size);
        let root = tree.root_at(size).unwrap();
        for index in 0..size {
            let (leaf, proof) = (tree.hash_at(0, index).unwrap(), tree.inclusion(index, size));
            let proof = proof.unwrap();
            for claimed in 0..=size + 1 {
                let verdict = verify_inclusion(&leaf, claimed, size, &proof, &root);
                assert_eq!(
                    verdict.is_ok(),
                    claimed == index,
                    "{index} {claimed} {size}"
                );
            }
        }
    }
}

#[test]
fn beyond_the_tree() {
    let tree = tree(5);
    let beyond = Err(TlogError::Size { have: 5, asked: 6 });
    assert_eq!(tree.root_at(6), beyond.clone().map(|()| empty_root()));
    assert_eq!(tree.inclusion(0, 6), beyond.clone().map(|()| Vec::new()));
    assert_eq!(tree.consistency(1, 6), beyond.map(|()| Vec::new()));
    assert_eq!(
        tree.inclusion(5, 5),
        Err(TlogError::Index { index: 5, size: 5 })
    );
    assert_eq!(
        tree.inclusion(0, 0),
        Err(TlogError::Index { index: 0, size: 0 })
    );
    assert!(tree.consistency(4, 3).is_err() && tree.root_at(u64::MAX).is_err());
    assert!(tree.inclusion(u64::MAX, u64::MAX).is_err());
    assert_eq!(tree.hash_at(2, 1), None);
    assert_eq!(tree.hash_at(u32::MAX, u64::MAX), None);
}

#[test]
fn the_ends_of_consistency() {
    let (one, empty) = (leaf_hash(b"x"), empty_root());
    // Nothing to prove is proved by nothing, and only by nothing.
    assert_eq!(verify_consistency(0, &empty, 0, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &empty, 1, &one, &[]), Ok(()));
    assert_eq!(verify_consistency(1, &one, 1, &one, &[]), Ok(()));
    for (old, old_root, new, new_root, proof) in [
        (0, &one, 0, &one, &[][..]),
        (0, &empty, 0, &empty, &[one]),
        (0, &one, 1, &one, &[]),
        (0, &empty, 1, &one, &[one]),
        (1, &one, 1, &empty, &[]),
        (1, &one, 1, &one, &[one]),
        (2, &one, 1, &one, &[]),
        (1, &one, 2, &one, &[]),
        (u64::MAX, &one, 0, &empty, &[]),
    ] {
        assert!(
            verify_consistency(old, old_root, new, new_root, proof).is_err(),
            "{old} {new}"
        );
    }
}

/// Our tiles, as `tlog_tiles` reads them from a server.
struct Published(HashMap<String, Vec<u8>>);

impl TileReader for Published {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles
            .iter()
            .map(|tile| self.0[&path(tile)].clone())
            .collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// `tlog_tiles` finds the root and makes every proof from our tiles alone, checking each tile on
/// its way to the root; and the proofs are ours.
#[test]
fn tlog_tiles_reads_our_tiles() {
    let whole = tree(70_000);
    for size in [1, 2, 255, 256, 257, 5000, 65_535, 65_536, 65_537, 70_000] {
        let files = tiles_of(size).map(|tile| (tile.to_string(), tile.hashes(&whole).unwrap()));
        let published = Published(files.collect());
        let root = whole.root_at(size).unwrap();
        let their_root = tlog_tiles::Hash(*root.as_bytes());
        let reader = TileHashReader::new(size, their_root, &published);
        assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), their_root);
        let ours = |hashes: Vec<tlog_tiles::Hash>| -> Vec<Hash> {
            hashes
                .into_iter()
                .map(|hash| Hash::from_bytes(hash.0))
                .collect()
        };
        for index in [0, size / 3, size / 2, size - 1] {
            let path = tlog_tiles::prove_record(size, index, &reader).unwrap();
            assert_eq!(
                ours(path),
                whole.inclusion(index, size).unwrap(),
                "{index} {size}"
            );
            let history = tlog_tiles::prove_tree(size, index + 1, &reader).unwrap();
            let own = whole.consistency(index + 1, size).unwrap();
            assert_eq!(ours(history), own, "{index} {size}");
        }
    }
}

fn hashes() -> impl Strategy<Value = Vec<Hash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(Hash::from_bytes), 0..70)
}

/// Sizes at which arithmetic goes wrong, if it does.
fn sizes() -> impl Strategy<Value = u64> {
    let near = (0..64_u32, 0..3_u64).prop_map(|(bit, add)| (1_u64 << bit).wrapping_sub(1) + add);
    prop_oneof![0..20_u64, near, any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn any_proof_is_safe(
        (one, two) in (sizes(), sizes()), proof in hashes(), first: [u8; 32], second: [u8; 32],
    ) {
        let (first, second) = (Hash::from_bytes(first), Hash::from_bytes(second));
        // Random hashes lead nowhere, whatever the sizes say.
        prop_assert!(verify_inclusion(&first, one, two, &proof, &second).is_err());
        prop_assert!(verify_consistency(one, &first, two, &second, &proof).is_err());
    }
}
