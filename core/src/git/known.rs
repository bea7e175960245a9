//! Objects at hand: what the last session left, what packs brought, what was made.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::job::Limits;
use super::object::{Kind, ObjectId};
use super::pack::{Bases, Pack, PackError, PackLimits};

/// Commits whose trees are kept.
const TIPS_MAX: usize = 2;

/// What a session leaves to the next one about the same target: trees and files of the last tip, bounded by
/// [`Limits::known_bytes_max`]. It can be lost at any time at the price of reading again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// The last commits that were read or made, newest first.
    tips: Vec<ObjectId>,
    objects: BTreeMap<ObjectId, (Kind, Vec<u8>)>,
}

impl Known {
    /// How many bytes it holds.
    pub fn n_bytes(&self) -> usize {
        self.objects
            .values()
            .map(|(_, data)| data.len() + OBJECT_BYTES)
            .sum()
    }
}

/// What an object costs beside its data.
const OBJECT_BYTES: usize = 64;

/// The objects that a session has.
#[derive(Debug)]
pub(super) struct Objects {
    limits: Limits,
    known: Known,
    packs: Vec<Pack>,
    /// What this session looked at.
    used: BTreeSet<ObjectId>,
}

impl Bases for Known {
    fn object(&self, id: &ObjectId) -> Option<(Kind, &[u8])> {
        self.objects.get(id).map(|(kind, data)| (*kind, &**data))
    }
}

/// An object that was looked for.
pub(super) enum Load<'a> {
    Here(&'a [u8]),
    TooLarge,
    Missing,
}

impl Objects {
    pub(super) fn new(known: Known, limits: Limits) -> Self {
        Self {
            limits,
            known,
            packs: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// The newest commit whose trees were kept.
    pub(super) fn known_tip(&self) -> Option<ObjectId> {
        self.known.tips.first().copied()
    }

    /// How much the next pack may hold.
    pub(super) fn pack_limits(&self) -> PackLimits {
        let n_held: usize = self.packs.iter().map(Pack::n_bytes).sum();
        PackLimits {
            pack_bytes_max: self.limits.pack.pack_bytes_max.saturating_sub(n_held),
            ..self.limits.pack
        }
    }

    pub(super) fn add_pack(&mut self, pack: Pack) {
        self.packs.push(pack);
    }

    pub(super) fn add(&mut self, kind: Kind, id: ObjectId, data: Vec<u8>) {
        self.used.insert(id);
        self.known.objects.insert(id, (kind, data));
    }

    /// Says that `commit` is what the next session begins with.
    pub(super) fn on_tip(&mut self, commit: ObjectId) {
        self.known.tips.retain(|tip| *tip != commit);
        self.known.tips.insert(0, commit);
        self.known.tips.truncate(TIPS_MAX);
    }

    pub(super) fn load(&mut self, kind: Kind, id: ObjectId) -> Result<Load<'_>, PackError> {
        if !self.known.objects.contains_key(&id) {
            for pack in &mut self.packs {
                if let Some(data) = pack.find(kind, &id, &self.known)? {
                    self.known.objects.insert(id, (kind, data));
                    break;
                }
                if pack.is_too_large(&id) {
                    return Ok(Load::TooLarge);
                }
            }
        }
        self.used.insert(id);
        Ok(match self.known.objects.get(&id) {
            Some((found, data)) if *found == kind => Load::Here(data),
            Some(_) | None => Load::Missing,
        })
    }

    /// Every commit of `pack`, which is not kept.
    pub(super) fn commits(
        &self,
        pack: &mut Pack,
    ) -> Result<BTreeMap<ObjectId, Vec<u8>>, PackError> {
        pack.all(Kind::Commit, &self.known)
    }

    /// What the next session begins with: what this one used, and of the rest what there is room for.
    pub(super) fn into_known(mut self) -> Known {
        let mut n_left = self.limits.known_bytes_max;
        let mut kept = BTreeMap::new();
        for is_used in [true, false] {
            for kind in [Kind::Commit, Kind::Tree, Kind::Blob] {
                for (id, (found, data)) in &mut self.known.objects {
                    let cost = data.len() + OBJECT_BYTES;
                    if *found == kind && self.used.contains(id) == is_used && cost <= n_left {
                        n_left -= cost;
                        kept.insert(*id, (kind, core::mem::take(data)));
                    }
                }
            }
        }
        self.known.objects = kept;
        // Of a commit that is not kept the trees are not either.
        let objects = &self.known.objects;
        self.known.tips.retain(|tip| objects.contains_key(tip));
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_was_used_is_kept_first_and_no_more_than_there_is_room_for() {
        let id = |n: u8| ObjectId::from_bytes(&[n; 20]).unwrap();
        let limits = Limits {
            known_bytes_max: 3 * (OBJECT_BYTES + 10),
            ..Limits::default()
        };
        let mut known = Known::default();
        for n in 0..9 {
            known.objects.insert(id(n), (Kind::Tree, vec![n; 10]));
        }
        known.tips = vec![id(8)];
        let mut objects = Objects::new(known, limits);
        objects.add(Kind::Commit, id(20), vec![1; 10]);
        objects.on_tip(id(20));
        assert!(matches!(objects.load(Kind::Tree, id(7)), Ok(Load::Here(_))));
        assert!(matches!(objects.load(Kind::Blob, id(7)), Ok(Load::Missing)));
        let known = objects.into_known();
        let kept: Vec<ObjectId> = known.objects.keys().copied().collect();
        assert_eq!(kept, [id(0), id(7), id(20)]);
        assert_eq!(known.tips, [id(20)]);
        assert!(known.n_bytes() <= limits.known_bytes_max);
    }
}
