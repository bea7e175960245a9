//! Who may publish next: at most one at a time per repository and branch (S7, `writeback.md` 15.2).
//!
//! A batch for the default branch is one for a branch of which the name is not known yet, so it meets every
//! other one of its repository. Repositories take turns, and within one the order is that of arrival.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::lane::LaneId;

/// The branch that is written; `None` while its name is not known.
pub(super) type Branch = Option<Box<str>>;

/// Leave to write one branch of one repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    pub(super) lane: LaneId,
    pub(super) repository: Arc<str>,
    pub(super) branch: Branch,
}

/// Lanes that are ready, by repository.
#[derive(Debug, Default)]
pub(super) struct Turns {
    repositories: BTreeMap<Arc<str>, Repository>,
    /// Repositories whose first lane may start, each once.
    queue: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct Repository {
    ready: VecDeque<(LaneId, Branch)>,
    busy: BTreeSet<Branch>,
    is_queued: bool,
}

impl Repository {
    fn can_start(&self) -> bool {
        self.ready.front().is_some_and(|(_, branch)| match branch {
            None => self.busy.is_empty(),
            Some(_) => !self.busy.contains(&None) && !self.busy.contains(branch),
        })
    }
}

impl Turns {
    /// Puts a lane in line.
    pub(super) fn enqueue(&mut self, repository: &Arc<str>, lane: LaneId, branch: Branch) {
        let entry = self.repositories.entry(Arc::clone(repository));
        entry.or_default().ready.push_back((lane, branch));
        self.look(repository);
    }

    /// The next turn; its branch is taken until [`Turns::give`].
    pub(super) fn take(&mut self) -> Option<Turn> {
        loop {
            let name = self.queue.pop_front()?;
            let Some(repository) = self.repositories.get_mut(&name) else {
                continue;
            };
            repository.is_queued = false;
            if !repository.can_start() {
                continue;
            }
            let Some((lane, branch)) = repository.ready.pop_front() else {
                continue;
            };
            repository.busy.insert(branch.clone());
            self.look(&name);
            return Some(Turn {
                lane,
                repository: name,
                branch,
            });
        }
    }

    /// The branch is free again.
    pub(super) fn give(&mut self, turn: &Turn) {
        let name = &turn.repository;
        let Some(repository) = self.repositories.get_mut(name) else {
            return;
        };
        let was_busy = repository.busy.remove(&turn.branch);
        assert!(was_busy, "only a branch that was taken is given back");
        if repository.busy.is_empty() && repository.ready.is_empty() {
            self.repositories.remove(name);
        } else {
            self.look(name);
        }
    }

    /// True when there is nobody in line and nothing taken.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.repositories.is_empty()
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        let lines = self.repositories.values();
        let lines: usize = lines.map(|one| crate::bytes::queue(&one.ready)).sum();
        crate::bytes::tree::<Arc<str>, Repository>(self.repositories.len())
            + crate::bytes::queue(&self.queue)
            + lines
    }

    /// Queues a repository whose first lane may start.
    fn look(&mut self, name: &Arc<str>) {
        if let Some(repository) = self.repositories.get_mut(name)
            && !repository.is_queued
            && repository.can_start()
        {
            repository.is_queued = true;
            self.queue.push_back(Arc::clone(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_branch_is_taken_once_and_an_unknown_one_meets_all() {
        let mut turns = Turns::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let main: Branch = Some("main".into());
        let dev: Branch = Some("dev".into());
        turns.enqueue(&a, LaneId(1), main.clone());
        turns.enqueue(&a, LaneId(2), main.clone());
        turns.enqueue(&a, LaneId(3), dev.clone());
        turns.enqueue(&a, LaneId(4), None);
        turns.enqueue(&b, LaneId(5), None);
        let mut taken = BTreeMap::new();
        let take = |turns: &mut Turns, taken: &mut BTreeMap<u64, Turn>| {
            let turn = turns.take()?;
            let lane = turn.lane.0;
            taken.insert(lane, turn);
            Some(lane)
        };
        assert_eq!(take(&mut turns, &mut taken), Some(1));
        assert_eq!(take(&mut turns, &mut taken), Some(5), "another repository");
        assert_eq!(take(&mut turns, &mut taken), None, "main is taken");
        turns.give(&taken[&1]);
        assert_eq!(take(&mut turns, &mut taken), Some(2));
        assert_eq!(take(&mut turns, &mut taken), Some(3), "another branch");
        let next = take(&mut turns, &mut taken);
        assert_eq!(next, None, "the default branch may be either");
        turns.give(&taken[&2]);
        assert_eq!(take(&mut turns, &mut taken), None);
        turns.give(&taken[&3]);
        assert_eq!(take(&mut turns, &mut taken), Some(4));
        turns.enqueue(&a, LaneId(6), dev);
        let next = take(&mut turns, &mut taken);
        assert_eq!(next, None, "and either may be the default branch");
        turns.give(&taken[&4]);
        turns.give(&taken[&5]);
        assert_eq!(take(&mut turns, &mut taken), Some(6));
        turns.give(&taken[&6]);
        assert!(turns.is_empty());
    }
}
