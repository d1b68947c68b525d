//! Checks proofs against roots, without a tree: RFC 9162 sections 2.1.3.2 and 2.1.4.2, step by
//! step and with their names (`fn` and `sn` are `node` and `last`). Every input may be hostile.

use super::TlogError;
use super::hash::{Hash, empty_root, node_hash};

/// Checks that the leaf with this hash is number `index` of the tree of `size` leaves with this
/// root.
///
/// # Errors
///
/// If it is not shown to be.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), TlogError> {
    if index >= size {
        return Err(TlogError::Index { index, size });
    }
    let wrong = TlogError::Inclusion { index, size };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong);
        }
        if is_right(node) || node == last {
            hash = node_hash(sibling, &hash);
            (node, last) = up_to_a_sibling(node, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// Checks that the tree of `new_size` leaves with the root `new_root` begins with the tree of
/// `old_size` leaves with the root `old_root`.
///
/// The RFC defines proofs for `0 < old_size < new_size`. For equal sizes the proof is empty and
/// the roots are equal; everything begins with the empty tree, whose proof is empty too and whose
/// root is known.
///
/// # Errors
///
/// If it is not shown to.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), TlogError> {
    let wrong = TlogError::Consistency {
        old: old_size,
        new: new_size,
    };
    let verdict = |holds| if holds { Ok(()) } else { Err(wrong.clone()) };
    if old_size > new_size {
        return verdict(false);
    }
    let empty = empty_root();
    if old_size == new_size {
        let is_known = old_size > 0 || *old_root == empty;
        return verdict(is_known && proof.is_empty() && old_root == new_root);
    }
    if old_size == 0 {
        return verdict(proof.is_empty() && *old_root == empty);
    }
    // An old tree that is one complete subtree is a node of the new one: its root begins the path.
    let (first, rest) = match proof {
        [] => return verdict(false),
        all if old_size.is_power_of_two() => (old_root, all),
        [first, rest @ ..] => (first, rest),
    };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    let shift = node.trailing_ones();
    (node, last) = (node >> shift, last >> shift);
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return verdict(false);
        }
        if is_right(node) || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            (node, last) = up_to_a_sibling(node, last);
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    verdict(last == 0 && old == *old_root && new == *new_root)
}

const fn is_right(node: u64) -> bool {
    node & 1 == 1
}

/// From a node at the right edge up to the next one that is a right child: between them there
/// is no sibling, and so no step in the proof. A right child stays where it is.
const fn up_to_a_sibling(node: u64, last: u64) -> (u64, u64) {
    if node == 0 {
        // Only with `last == 0`, and then the path is at its end.
        return (node, last);
    }
    let shift = node.trailing_zeros();
    (node >> shift, last >> shift)
}
