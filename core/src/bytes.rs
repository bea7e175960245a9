//! How many bytes collections hold, estimated, for footprints: what an allocator is asked for, without
//! what it adds.

use alloc::collections::VecDeque;

/// Places in a node of a B-tree.
const NODE_PLACES: usize = 11;
/// Places in use: a node that was filled in order keeps 6, one that was filled at random about 8.
const NODE_PLACES_USED: usize = 7;
/// A node's own fields.
const NODE_HEAD: usize = 16;
/// What an inner node has beside: a pointer for each child.
const CHILDREN: usize = (NODE_PLACES + 1) * size_of::<usize>();

/// Bytes of a B-tree map of `len` pairs, or of a set with `V = ()`; what the pairs own is not counted.
pub(crate) const fn tree<K, V>(len: usize) -> usize {
    let nodes = if len <= NODE_PLACES && len > 0 {
        1
    } else {
        len.div_ceil(NODE_PLACES_USED)
    };
    let leaf = NODE_PLACES * (size_of::<K>() + size_of::<V>()) + NODE_HEAD;
    nodes * leaf + (nodes / NODE_PLACES_USED) * CHILDREN
}

/// Bytes of a queue's places.
pub(crate) fn queue<T>(queue: &VecDeque<T>) -> usize {
    queue.capacity() * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_tree_is_one_node_and_an_empty_one_is_nothing() {
        assert_eq!(tree::<u64, u64>(0), 0);
        assert_eq!(tree::<u64, ()>(1), 104);
        assert_eq!(tree::<u64, ()>(11), 104);
        assert!(tree::<u64, ()>(12) > 104);
    }
}
