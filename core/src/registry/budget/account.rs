//! An account: a credential at an endpoint, or nobody there. What is said about its limits, and its queues.

use alloc::collections::{BTreeMap, VecDeque};
use core::ops::Bound::{Excluded, Unbounded};

use super::pace::Pace;
use super::pulls::Pulls;
use super::quota::Quota;
use crate::credential::CredentialSource;
use crate::registry::job::JobId;
use crate::registry::repository::RepositoryId;
use crate::time::Time;

/// Names an account within one endpoint; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::registry) struct AccountId(pub(super) u32);

/// What a lookup that waits for a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::registry) enum Rank {
    /// It has begun: its attempt's clock runs.
    Begun,
    /// A listing that has not begun.
    Listing,
    /// Facts of a tag that have not begun.
    Facts,
}

impl Rank {
    pub(super) const ALL: [Self; 3] = [Self::Begun, Self::Listing, Self::Facts];

    pub(super) const fn place(self) -> usize {
        match self {
            Self::Begun => 0,
            Self::Listing => 1,
            Self::Facts => 2,
        }
    }
}

/// One account.
#[derive(Debug)]
pub(in crate::registry) struct Account {
    /// Where its credential comes from; `None` is nobody.
    pub(in crate::registry) source: Option<CredentialSource>,
    pub(in crate::registry) pace: Pace,
    pub(in crate::registry) quota: Option<Quota>,
    pub(in crate::registry) pulls: Pulls,
    pub(super) n_users: u32,
    /// Nothing is sent for it before then.
    pub(super) held: Option<Time>,
    begun: VecDeque<JobId>,
    listings: VecDeque<JobId>,
    /// By repository, so that a large one does not stand in the way of small ones.
    facts: BTreeMap<RepositoryId, VecDeque<JobId>>,
    /// The repository that had the last turn.
    facts_turn: Option<RepositoryId>,
}

impl Account {
    pub(super) fn new(source: Option<CredentialSource>, pace: Pace) -> Self {
        Self {
            source,
            pace,
            quota: None,
            pulls: Pulls::default(),
            n_users: 0,
            held: None,
            begun: VecDeque::new(),
            listings: VecDeque::new(),
            facts: BTreeMap::new(),
            facts_turn: None,
        }
    }

    pub(super) fn push(&mut self, rank: Rank, repository: RepositoryId, job: JobId) {
        match rank {
            Rank::Begun => self.begun.push_back(job),
            Rank::Listing => self.listings.push_back(job),
            Rank::Facts => self.facts.entry(repository).or_default().push_back(job),
        }
    }

    pub(super) fn pop(&mut self, rank: Rank) -> Option<JobId> {
        match rank {
            Rank::Begun => self.begun.pop_front(),
            Rank::Listing => self.listings.pop_front(),
            Rank::Facts => self.pop_facts(),
        }
    }

    pub(super) fn has(&self, rank: Rank) -> bool {
        match rank {
            Rank::Begun => !self.begun.is_empty(),
            Rank::Listing => !self.listings.is_empty(),
            Rank::Facts => !self.facts.is_empty(),
        }
    }

    /// Drops the facts that wait for a repository, and returns how many there were.
    pub(super) fn drop_facts(&mut self, repository: RepositoryId) -> usize {
        self.facts.remove(&repository).map_or(0, |line| line.len())
    }

    /// Drops everything that waits, and returns how much there was.
    pub(super) fn clear(&mut self) -> usize {
        let n_queued = self.n_queued();
        self.begun.clear();
        self.listings.clear();
        self.facts.clear();
        n_queued
    }

    fn pop_facts(&mut self) -> Option<JobId> {
        let next = self
            .facts_turn
            .and_then(|last| self.facts.range((Excluded(last), Unbounded)).next())
            .or_else(|| self.facts.first_key_value())
            .map(|(repository, _)| *repository)?;
        self.facts_turn = Some(next);
        let line = self.facts.get_mut(&next)?;
        let job = line.pop_front();
        if line.is_empty() {
            self.facts.remove(&next);
        }
        job
    }

    pub(super) fn n_queued(&self) -> usize {
        let facts: usize = self.facts.values().map(VecDeque::len).sum();
        self.begun.len() + self.listings.len() + facts
    }
}
