//! The line at an endpoint: who is sent next.
//!
//! Lookups that have begun go first, then new listings, then the facts of new tags; within a rank accounts
//! take turns, and within an account the repositories with facts do. Nobody starves: of eight sends one at
//! least is of a lookup that has not begun, and of four of these one at least is of facts. An account that
//! has to wait stands beside the line, and costs nobody anything. Every step costs the logarithm of the
//! number of accounts, amortized.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound::{Excluded, Unbounded};

use super::account::{Account, AccountId, Rank};
use super::pace::Pace;
use crate::bytes;
use crate::credential::CredentialSource;
use crate::registry::job::JobId;
use crate::registry::repository::RepositoryId;
use crate::time::Time;

/// Lookups that have begun, in a row, before a new one.
const BEGUN_MAX: u32 = 7;
/// New listings in a row before new facts.
const LISTINGS_MAX: u32 = 3;

/// All accounts of an endpoint and what waits for them.
#[derive(Debug)]
pub(in crate::registry) struct Line {
    rate_max: Option<u32>,
    accounts: BTreeMap<AccountId, Account>,
    ids: BTreeMap<Option<CredentialSource>, AccountId>,
    next: u32,
    /// Of each rank, the accounts with something to send that are not held.
    turns: [BTreeSet<AccountId>; 3],
    /// Of each rank, who had the last turn.
    last: [AccountId; 3],
    /// Accounts that have to wait, by when they need not any more.
    held: BTreeSet<(Time, AccountId)>,
    n_queued: usize,
    n_begun_in_row: u32,
    n_listings_in_row: u32,
}

impl Line {
    /// An empty line at an endpoint of so many requests per second.
    pub(in crate::registry) fn new(rate_max: Option<u32>) -> Self {
        Self {
            rate_max,
            accounts: BTreeMap::new(),
            ids: BTreeMap::new(),
            next: 0,
            turns: Default::default(),
            last: [AccountId(0); 3],
            held: BTreeSet::new(),
            n_queued: 0,
            n_begun_in_row: 0,
            n_listings_in_row: 0,
        }
    }

    /// Takes another rate.
    pub(in crate::registry) fn adapt(&mut self, rate_max: Option<u32>) {
        self.rate_max = rate_max;
        for account in self.accounts.values_mut() {
            account.pace.adapt(rate_max);
        }
    }

    /// Takes over what the same server said to the accounts that wait, by another entry.
    pub(in crate::registry) fn inherit(&mut self, known: &Self) {
        for (until, id) in &known.held {
            let Some(other) = known.accounts.get(id) else {
                continue;
            };
            let id = self.retain(other.source.as_ref());
            let Some(own) = self.accounts.get_mut(&id) else {
                continue;
            };
            own.n_users -= 1;
            own.pace.inherit(&other.pace, self.rate_max);
            let before = own.held;
            own.held = before.max(Some(*until));
            if let Some(before) = before {
                self.held.remove(&(before, id));
            }
            self.held.extend(own.held.map(|until| (until, id)));
        }
    }

    /// Counts a repository, or a token, that is asked for with this credential.
    pub(in crate::registry) fn retain(&mut self, source: Option<&CredentialSource>) -> AccountId {
        let source = source.cloned();
        let (next, rate_max) = (&mut self.next, self.rate_max);
        let id = *self.ids.entry(source.clone()).or_insert_with(|| {
            *next += 1;
            AccountId(*next)
        });
        let account = self
            .accounts
            .entry(id)
            .or_insert_with(|| Account::new(source, Pace::new(rate_max)));
        account.n_users += 1;
        id
    }

    /// Counts it off, with what waits for it. With its last user an account is forgotten, unless the
    /// registry asked it to wait: then once that has passed (A11).
    pub(in crate::registry) fn release(&mut self, id: AccountId, repository: Option<RepositoryId>) {
        let Some(account) = self.accounts.get_mut(&id) else {
            return;
        };
        account.n_users = account.n_users.saturating_sub(1);
        if let Some(repository) = repository {
            self.n_queued -= account.drop_facts(repository);
        }
        self.note_turns(id);
        self.forget_if_unused(id);
    }

    pub(in crate::registry) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub(in crate::registry) fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(&id)
    }

    pub(in crate::registry) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Puts a lookup at the end of its rank.
    pub(in crate::registry) fn push(
        &mut self,
        id: AccountId,
        rank: Rank,
        repository: RepositoryId,
        job: JobId,
    ) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.push(rank, repository, job);
            self.n_queued += 1;
            self.note_turns(id);
        }
    }

    /// Takes out who is next, of those that still wait.
    pub(in crate::registry) fn take(
        &mut self,
        now: Time,
        is_waiting: impl Fn(JobId) -> bool,
    ) -> Option<JobId> {
        self.let_in(now);
        loop {
            let rank = self.next_rank()?;
            let id = self.next_account(rank)?;
            self.last[rank.place()] = id;
            let job = self.accounts.get_mut(&id)?.pop(rank)?;
            self.n_queued -= 1;
            self.note_turns(id);
            if is_waiting(job) {
                self.count(rank);
                return Some(job);
            }
        }
    }

    /// Nothing is sent for an account before its pace allows.
    pub(in crate::registry) fn hold(&mut self, id: AccountId, now: Time) {
        let Some(account) = self.accounts.get_mut(&id) else {
            return;
        };
        let until = account.pace.next_at(now);
        if until > now && account.held.is_none_or(|known| known < until) {
            if let Some(known) = account.held.replace(until) {
                self.held.remove(&(known, id));
            }
            self.held.insert((until, id));
            self.note_turns(id);
        }
    }

    /// Lets those in again that need not wait any more.
    pub(in crate::registry) fn let_in(&mut self, now: Time) {
        while let Some((until, id)) = self.held.first().copied()
            && until <= now
        {
            self.held.pop_first();
            if let Some(account) = self.accounts.get_mut(&id) {
                account.held = None;
                self.note_turns(id);
                self.forget_if_unused(id);
            }
        }
    }

    /// When the next account need not wait any more.
    pub(in crate::registry) fn next_let_in(&self) -> Option<Time> {
        self.held.first().map(|(until, _)| *until)
    }

    /// True when somebody has something to send.
    pub(in crate::registry) fn has_turns(&self) -> bool {
        self.turns.iter().any(|turns| !turns.is_empty())
    }

    /// Drops what waits, of one account or of all.
    pub(in crate::registry) fn clear(&mut self, only: Option<AccountId>) {
        for (id, account) in &mut self.accounts {
            if only.is_none_or(|only| only == *id) {
                self.n_queued -= account.clear();
                for turns in &mut self.turns {
                    turns.remove(id);
                }
            }
        }
    }

    pub(in crate::registry) const fn n_queued(&self) -> usize {
        self.n_queued
    }

    /// Lookups in line, counted anew.
    pub(in crate::registry) fn recount(&self) -> usize {
        self.accounts.values().map(Account::n_queued).sum()
    }

    /// Bytes, about.
    pub(in crate::registry) fn footprint(&self) -> usize {
        bytes::tree::<AccountId, Account>(self.accounts.len())
            + bytes::tree::<Option<CredentialSource>, AccountId>(self.ids.len())
            + bytes::tree::<(Time, AccountId), ()>(self.held.len())
            + self.n_queued * size_of::<JobId>()
    }

    fn next_rank(&self) -> Option<Rank> {
        let has = |rank: Rank| !self.turns[rank.place()].is_empty();
        let has_new = has(Rank::Listing) || has(Rank::Facts);
        if has(Rank::Begun) && (self.n_begun_in_row < BEGUN_MAX || !has_new) {
            return Some(Rank::Begun);
        }
        if has(Rank::Listing) && (self.n_listings_in_row < LISTINGS_MAX || !has(Rank::Facts)) {
            return Some(Rank::Listing);
        }
        has(Rank::Facts).then_some(Rank::Facts)
    }

    fn count(&mut self, rank: Rank) {
        match rank {
            Rank::Begun => self.n_begun_in_row = self.n_begun_in_row.saturating_add(1),
            Rank::Listing => {
                self.n_begun_in_row = 0;
                self.n_listings_in_row = self.n_listings_in_row.saturating_add(1);
            }
            Rank::Facts => {
                self.n_begun_in_row = 0;
                self.n_listings_in_row = 0;
            }
        }
    }

    fn next_account(&self, rank: Rank) -> Option<AccountId> {
        let (turns, last) = (&self.turns[rank.place()], self.last[rank.place()]);
        let next = turns.range((Excluded(last), Unbounded)).next();
        next.or_else(|| turns.first()).copied()
    }

    /// Has an account stand in the turns of those ranks that it has something of, unless it is held.
    fn note_turns(&mut self, id: AccountId) {
        for rank in Rank::ALL {
            let turns = &mut self.turns[rank.place()];
            let account = self.accounts.get(&id);
            if account.is_some_and(|account| account.held.is_none() && account.has(rank)) {
                turns.insert(id);
            } else {
                turns.remove(&id);
            }
        }
    }

    fn forget_if_unused(&mut self, id: AccountId) {
        let is_unused = self
            .accounts
            .get(&id)
            .is_some_and(|account| account.n_users == 0 && account.held.is_none());
        if is_unused && let Some(account) = self.accounts.remove(&id) {
            self.n_queued -= account.n_queued();
            self.ids.remove(&account.source);
            self.note_turns(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const FEW: RepositoryId = RepositoryId(1);
    const MANY: RepositoryId = RepositoryId(2);

    fn line() -> (Line, AccountId) {
        let mut line = Line::new(None);
        let nobody = line.retain(None);
        (line, nobody)
    }

    fn push(
        line: &mut Line,
        id: AccountId,
        rank: Rank,
        repository: RepositoryId,
        jobs: core::ops::Range<u64>,
    ) {
        for job in jobs {
            line.push(id, rank, repository, JobId(job));
        }
    }

    fn take(line: &mut Line, n: usize) -> Vec<u64> {
        let taken = (0..n).filter_map(|_| line.take(Time::ZERO, |_| true));
        let taken = taken.map(|job| job.0).collect();
        assert_eq!(line.n_queued(), line.recount());
        taken
    }

    #[test]
    fn listings_pass_facts_but_every_fourth_and_what_has_begun_passes_both_but_every_eighth() {
        let (mut line, nobody) = line();
        push(&mut line, nobody, Rank::Facts, MANY, 100..200);
        push(&mut line, nobody, Rank::Listing, FEW, 0..9);
        assert_eq!(take(&mut line, 10), [0, 1, 2, 100, 3, 4, 5, 101, 6, 7]);
        push(&mut line, nobody, Rank::Begun, FEW, 50..70);
        let taken = take(&mut line, 24);
        assert_eq!(taken[..9], [50, 51, 52, 53, 54, 55, 56, 8, 57]);
        assert_eq!(taken[15], 102);
    }

    #[test]
    fn repositories_take_turns_with_their_facts() {
        let (mut line, nobody) = line();
        push(&mut line, nobody, Rank::Facts, MANY, 100..200);
        push(&mut line, nobody, Rank::Facts, FEW, 0..2);
        assert_eq!(take(&mut line, 6), [0, 100, 1, 101, 102, 103]);
    }

    #[test]
    fn accounts_take_turns_and_one_that_is_held_stands_in_nobodys_way() {
        let (mut line, nobody) = line();
        let some = line.retain(Some(&CredentialSource::Env("A".into())));
        push(&mut line, nobody, Rank::Listing, MANY, 100..200);
        push(&mut line, some, Rank::Listing, FEW, 0..4);
        assert_eq!(take(&mut line, 3), [100, 0, 101]);
        let until = Time::from_secs(9);
        let account = line.account_mut(nobody).expect("an account");
        account.pace.close_until(Time::ZERO, until);
        line.hold(nobody, Time::ZERO);
        assert_eq!(take(&mut line, 9), [1, 2, 3]);
        assert_eq!(line.next_let_in(), Some(until));
        assert_eq!(line.take(until, |_| true), Some(JobId(102)));
    }

    #[test]
    fn who_does_not_wait_any_more_costs_no_turn() {
        let (mut line, nobody) = line();
        push(&mut line, nobody, Rank::Listing, MANY, 0..100);
        assert_eq!(line.take(Time::ZERO, |job| job.0 == 99), Some(JobId(99)));
        assert_eq!(line.n_queued(), 0);
    }

    #[test]
    fn an_account_leaves_with_its_last_repository_or_when_it_need_not_wait_any_more() {
        let (mut line, nobody) = line();
        push(&mut line, nobody, Rank::Facts, FEW, 0..5);
        let account = line.account_mut(nobody).expect("an account");
        account.pace.close_until(Time::ZERO, Time::from_secs(5));
        line.hold(nobody, Time::ZERO);
        line.release(nobody, Some(FEW));
        assert_eq!(line.n_queued(), 0);
        assert_eq!(line.retain(None), nobody, "the window is remembered");
        line.release(nobody, Some(FEW));
        line.let_in(Time::from_secs(5));
        assert_eq!(line.accounts().count(), 0);
    }

    #[test]
    fn another_entry_for_the_same_server_knows_which_accounts_wait() {
        let (mut known, nobody) = line();
        known.retain(Some(&CredentialSource::Env("A".into())));
        let until = Time::from_secs(5);
        let account = known.account_mut(nobody).expect("an account");
        account.pace.close_until(Time::ZERO, until);
        known.hold(nobody, Time::ZERO);
        let mut line = Line::new(Some(3));
        line.inherit(&known);
        assert_eq!(line.accounts().count(), 1);
        let nobody = line.retain(None);
        push(&mut line, nobody, Rank::Listing, FEW, 0..1);
        assert_eq!(line.take(Time::ZERO, |_| true), None);
        assert_eq!(line.take(until, |_| true), Some(JobId(0)));
        let mut other = Line::new(None);
        other.inherit(&known);
        other.let_in(until);
        assert_eq!(other.accounts().count(), 0, "nobody uses it");
    }
}
