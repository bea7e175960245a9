//! Lists in which a later entry of one name replaces an earlier one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One entry per name: where the name stands first, as it is said last.
pub(super) fn newest_of_each<T>(entries: &[T], name: impl Fn(&T) -> &str) -> Vec<&T> {
    let mut newest: Vec<&T> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let place = *places.entry(name(entry)).or_insert(newest.len());
        if place == newest.len() {
            newest.push(entry);
        } else {
            newest[place] = entry;
        }
    }
    newest
}
