//! Objects of a whole pack by their ids.
//!
//! Whole objects are known by id from reading. Differences get their ids when an object of their kind is
//! looked for that is none of those: each base is inflated once and its differences made from it, depth
//! first. What is made counts against the same bound as what was inflated while reading.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::inflate::Inflater;
use super::{PackError, PackLimits, delta};
use crate::git::object::{Kind, ObjectId};

/// Longest line of differences; git's own bound.
const CHAIN_MAX: usize = 4_095;

/// What an object costs at least.
const OBJECT_COST_BYTES_MIN: u64 = 64;

/// What a pack may build on without holding it.
pub trait Bases {
    /// The object, when it is known.
    fn object(&self, id: &ObjectId) -> Option<(Kind, &[u8])>;
}

/// Nothing is known.
impl Bases for () {
    fn object(&self, _: &ObjectId) -> Option<(Kind, &[u8])> {
        None
    }
}

/// An object of a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PackEntry {
    /// Where it begins.
    pub(super) at: usize,
    /// Where what is deflated begins.
    pub(super) content_at: usize,
    /// Its length, inflated; of the difference, for a difference.
    pub(super) size: u64,
    pub(super) form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Whole(Kind),
    /// A difference to another entry, which stands before it.
    OnEntry(usize),
    /// A difference to whatever has that id: in this pack, or known before.
    OnId(ObjectId),
}

/// A whole pack.
pub struct Pack {
    bytes: Vec<u8>,
    entries: Vec<PackEntry>,
    by_id: BTreeMap<ObjectId, (usize, Kind)>,
    limits: PackLimits,
    /// What may still be inflated.
    n_left: u64,
    /// Differences of these kinds have their ids.
    indexed: BTreeSet<Kind>,
    /// Kept between look-ups: making one costs more than inflating a small file.
    inflater: Option<Inflater>,
}

/// An object that differences are made from.
struct Base {
    kind: Kind,
    data: Rc<[u8]>,
    /// The differences to it that are still to be made.
    children: Vec<usize>,
}

impl Pack {
    pub(super) fn new(
        bytes: Vec<u8>,
        entries: Vec<PackEntry>,
        by_id: BTreeMap<ObjectId, (usize, Kind)>,
        limits: PackLimits,
        n_left: u64,
    ) -> Self {
        Self {
            bytes,
            entries,
            by_id,
            limits,
            n_left,
            indexed: BTreeSet::new(),
            inflater: None,
        }
    }

    /// How many objects it has.
    pub fn n_objects(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes it holds.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The object `id`, when it is here and of `kind`. Differences to what neither the pack nor `bases`
    /// have are not here.
    ///
    /// # Errors
    /// When differences are damaged, or make too much.
    pub fn find(
        &mut self,
        kind: Kind,
        id: &ObjectId,
        bases: &impl Bases,
    ) -> Result<Option<Vec<u8>>, PackError> {
        if !self.by_id.contains_key(id) {
            self.index(kind, bases)?;
        }
        match self.by_id.get(id) {
            Some((idx, found)) if *found == kind => self.object(*idx, bases),
            Some(_) | None => Ok(None),
        }
    }

    /// Every object of `kind`, by id.
    ///
    /// # Errors
    /// As [`Pack::find`].
    pub fn all(
        &mut self,
        kind: Kind,
        bases: &impl Bases,
    ) -> Result<BTreeMap<ObjectId, Vec<u8>>, PackError> {
        self.index(kind, bases)?;
        let mut all = BTreeMap::new();
        for (id, idx) in self.of_kind(kind) {
            if let Some(data) = self.object(idx, bases)? {
                all.insert(id, data);
            }
        }
        Ok(all)
    }

    fn of_kind(&self, kind: Kind) -> Vec<(ObjectId, usize)> {
        let all = self.by_id.iter();
        all.filter(|(_, (_, found))| *found == kind)
            .map(|(id, (idx, _))| (*id, *idx))
            .collect()
    }

    /// True when the object `id` is here, but longer than an object that is looked at may be.
    pub fn is_too_large(&self, id: &ObjectId) -> bool {
        let entry = self.by_id.get(id).map(|(idx, _)| &self.entries[*idx]);
        entry.is_some_and(|entry| entry.size > self.limits.object_bytes_max)
    }

    /// The entries from `idx` down to what it is made from, and that: a whole entry, or what is known.
    fn chain(&self, idx: usize) -> Option<(Vec<usize>, Form)> {
        let mut chain = Vec::new();
        let mut next = idx;
        loop {
            if chain.len() > CHAIN_MAX {
                return None;
            }
            match self.entries[next].form {
                form @ Form::Whole(_) => {
                    chain.push(next);
                    return Some((chain, form));
                }
                Form::OnEntry(base) => {
                    chain.push(next);
                    next = base;
                }
                Form::OnId(id) => {
                    chain.push(next);
                    match self.by_id.get(&id) {
                        Some((base, _)) => next = *base,
                        None => return Some((chain, Form::OnId(id))),
                    }
                }
            }
        }
    }

    fn object(&mut self, idx: usize, bases: &impl Bases) -> Result<Option<Vec<u8>>, PackError> {
        let Some((mut chain, root)) = self.chain(idx) else {
            return Err(PackError::Malformed(
                "differences of differences without end",
            ));
        };
        let mut inflater = self.inflater.take().unwrap_or_else(Inflater::new);
        let mut data = match root {
            Form::Whole(_) => {
                let whole = chain.pop().unwrap_or(idx);
                self.inflate(&mut inflater, whole)?
            }
            Form::OnId(id) => bases.object(&id).map(|(_, data)| data.to_vec()),
            Form::OnEntry(_) => None,
        };
        for idx in chain.into_iter().rev() {
            let Some(base) = data else { break };
            data = self.derive(&mut inflater, &base, idx)?;
        }
        self.inflater = Some(inflater);
        Ok(data)
    }

    /// Gives ids to the differences whose first base is of `kind`.
    fn index(&mut self, kind: Kind, bases: &impl Bases) -> Result<(), PackError> {
        if !self.indexed.insert(kind) {
            return Ok(());
        }
        let mut on_entry: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut on_id: BTreeMap<ObjectId, Vec<usize>> = BTreeMap::new();
        for (idx, entry) in self.entries.iter().enumerate() {
            match entry.form {
                Form::Whole(_) => {}
                Form::OnEntry(base) => on_entry.entry(base).or_default().push(idx),
                Form::OnId(id) => on_id.entry(id).or_default().push(idx),
            }
        }
        if on_entry.is_empty() && on_id.is_empty() {
            return Ok(());
        }
        let mut inflater = Inflater::new();
        for (id, idx) in self.of_kind(kind) {
            let mut children = on_entry.remove(&idx).unwrap_or_default();
            children.extend(on_id.remove(&id).unwrap_or_default());
            if children.is_empty() {
                continue;
            }
            if let Some(data) = self.inflate(&mut inflater, idx)? {
                let base = Base {
                    kind,
                    data: data.into(),
                    children,
                };
                self.descend(&mut inflater, base, &mut on_entry, &mut on_id)?;
            }
        }
        let outside: Vec<ObjectId> = on_id.keys().copied().collect();
        for id in outside {
            if let Some((found, data)) = bases.object(&id)
                && found == kind
                && let Some(children) = on_id.remove(&id)
            {
                let base = Base {
                    kind,
                    data: data.into(),
                    children,
                };
                self.descend(&mut inflater, base, &mut on_entry, &mut on_id)?;
            }
        }
        Ok(())
    }

    fn descend(
        &mut self,
        inflater: &mut Inflater,
        root: Base,
        on_entry: &mut BTreeMap<usize, Vec<usize>>,
        on_id: &mut BTreeMap<ObjectId, Vec<usize>>,
    ) -> Result<(), PackError> {
        let mut n_held = root.data.len();
        let mut line = Vec::from([root]);
        while let Some(base) = line.last_mut() {
            let Some(idx) = base.children.pop() else {
                n_held -= base.data.len();
                line.pop();
                continue;
            };
            let (kind, parent) = (base.kind, Rc::clone(&base.data));
            let Some(data) = self.derive(inflater, &parent, idx)? else {
                continue;
            };
            let id = ObjectId::of(kind, &data)
                .ok_or(PackError::Malformed("an object is made to collide"))?;
            self.by_id.entry(id).or_insert((idx, kind));
            let mut children = on_entry.remove(&idx).unwrap_or_default();
            children.extend(on_id.remove(&id).unwrap_or_default());
            if children.is_empty() {
                continue;
            }
            n_held += data.len();
            if line.len() >= CHAIN_MAX || n_held > self.limits.pack_bytes_max {
                return Err(PackError::Bomb);
            }
            line.push(Base {
                kind,
                data: data.into(),
                children,
            });
        }
        Ok(())
    }

    /// The object that entry `idx`, a difference, makes of `base`; `None` when it is too long to be looked at.
    fn derive(
        &mut self,
        inflater: &mut Inflater,
        base: &[u8],
        idx: usize,
    ) -> Result<Option<Vec<u8>>, PackError> {
        let Some(difference) = self.inflate(inflater, idx)? else {
            return Ok(None);
        };
        let size = delta::result_size(&difference)?;
        if size > self.limits.object_bytes_max {
            return Ok(None);
        }
        self.on_inflated(size)?;
        delta::apply(base, &difference).map(Some)
    }

    /// What is deflated in entry `idx`; `None` when it is too long to be looked at.
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        idx: usize,
    ) -> Result<Option<Vec<u8>>, PackError> {
        let PackEntry {
            content_at, size, ..
        } = self.entries[idx];
        if size > self.limits.object_bytes_max {
            return Ok(None);
        }
        self.on_inflated(size)?;
        let size = usize::try_from(size).map_err(|_| PackError::Bomb)?;
        inflater.whole(&self.bytes[content_at..], size).map(Some)
    }

    /// The least costs something too: differences of nothing must end as well.
    fn on_inflated(&mut self, n_bytes: u64) -> Result<(), PackError> {
        let n_bytes = n_bytes.max(OBJECT_COST_BYTES_MIN);
        self.n_left = self.n_left.checked_sub(n_bytes).ok_or(PackError::Bomb)?;
        Ok(())
    }
}

impl core::fmt::Debug for Pack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pack")
            .field("bytes", &self.bytes.len())
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}
