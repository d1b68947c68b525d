//! A whole tree as hashes, about 64 bytes a leaf: whatever can be asked about it is answered in
//! logarithmic time. Nothing in it ever changes; it only grows at the end, so that an answer
//! about an earlier size stays the same.

use super::TlogError;
use super::hash::{Hash, empty_root, node_hash};

/// The hash of every complete subtree.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// `levels[k][i]` is the root over the leaves `i·2^k .. (i+1)·2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Levels {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut level = 0;
        loop {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            match nodes.as_slice() {
                // An even number of nodes: the last two have a parent now.
                [.., left, right] if nodes.len().is_multiple_of(2) => node = node_hash(left, right),
                _ => return,
            }
            level += 1;
        }
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root over the `index`-th run of `2^level` leaves, if all of them are there.
    #[must_use]
    pub fn hash_at(&self, level: u32, index: u64) -> Option<Hash> {
        let nodes = self.levels.get(usize::try_from(level).ok()?)?;
        nodes.get(usize::try_from(index).ok()?).copied()
    }

    /// The root when the tree had `size` leaves.
    ///
    /// # Errors
    ///
    /// If it has fewer now.
    pub fn root_at(&self, size: u64) -> Result<Hash, TlogError> {
        self.has(size)?;
        self.root_over(0, size)
    }

    /// The path from a leaf to the root over `size` leaves, the leaf's sibling first
    /// (RFC 9162 section 2.1.3.1).
    ///
    /// # Errors
    ///
    /// If the tree has fewer leaves, or the leaf is not among them.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TlogError> {
        self.has(size)?;
        if index >= size {
            return Err(TlogError::Index { index, size });
        }
        let mut path = Vec::new();
        let mut level = 0;
        // Up to the level where one node holds everything.
        while (size - 1) >> level > 0 {
            let sibling = (index >> level) ^ 1;
            let start = sibling << level;
            // At the right edge there may be no sibling: the node then is its own parent.
            if start < size {
                let end = size.min(start + (1 << level));
                path.push(self.root_over(start, end)?);
            }
            level += 1;
        }
        Ok(path)
    }

    /// The proof that the tree of `new` leaves begins with the one of `old` leaves
    /// (RFC 9162 section 2.1.4.1). It is empty where there is nothing to prove: the same size
    /// twice, or nothing before.
    ///
    /// # Errors
    ///
    /// If the tree has fewer than `new` leaves, or `old` is the larger.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, TlogError> {
        self.has(new)?;
        if old > new {
            return Err(TlogError::Size {
                have: new,
                asked: old,
            });
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        // The RFC's SUBPROOF, walked from the root to where the old tree ends inside `start..end`.
        let (mut start, mut end) = (0, new);
        let mut siblings = Vec::new();
        while old != end {
            let middle = start + split(end - start);
            if old <= middle {
                siblings.push(self.root_over(middle, end)?);
                end = middle;
            } else {
                siblings.push(self.root_over(start, middle)?);
                start = middle;
            }
        }
        // The old tree's own root is known to whoever checks, and left out.
        if start > 0 {
            siblings.push(self.root_over(start, end)?);
        }
        siblings.reverse();
        Ok(siblings)
    }

    fn has(&self, size: u64) -> Result<(), TlogError> {
        let have = self.size();
        if size <= have {
            Ok(())
        } else {
            Err(TlogError::Size { have, asked: size })
        }
    }

    /// The root over the leaves `start..end`, where `start` is a multiple of the power of two at
    /// or above the length, as it is for every node of every tree.
    fn root_over(&self, start: u64, end: u64) -> Result<Hash, TlogError> {
        let absent = TlogError::Size {
            have: self.size(),
            asked: end,
        };
        let mut root = None;
        let mut end_of_next = end;
        // From the right: each bit of the length is one complete subtree.
        while end_of_next > start {
            let level = (end_of_next - start).trailing_zeros();
            let index = (end_of_next >> level) - 1;
            let left = self.hash_at(level, index).ok_or_else(|| absent.clone())?;
            root = Some(root.map_or(left, |right| node_hash(&left, &right)));
            end_of_next -= 1 << level;
        }
        Ok(root.unwrap_or_else(empty_root))
    }
}

/// The largest power of two below `length`, which is at least 2: where RFC 9162 splits a tree.
const fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}
