//! Questions about commits alone: how a written branch stands to its base, and whether a batch is there.
//!
//! Both read the commits of one that another does not have. What is decided follows from the commits
//! themselves, never from what a server says about them.

use alloc::collections::BTreeSet;

use super::{Phase, Session};
use crate::git::fetch::{FetchRequest, Filter};
use crate::git::job::{Job, Outcome, Relation, Tip};
use crate::git::object::{self, Commit, ObjectId};
use crate::git::pack::Pack;

/// Commits of a line that are looked at for a batch of which is not known what it would follow.
const SEARCH_DEPTH_MAX: u32 = 256;

impl Session {
    /// Asks for what the base has and the written branch has not.
    pub(super) fn relate(&mut self, tip: Tip) {
        let request = FetchRequest {
            wants: [tip.commit].into(),
            haves: [tip.old].into(),
            filter: Some(Filter::Trees),
            ..FetchRequest::default()
        };
        self.phase = Phase::Relation(tip);
        self.fetch(&request);
    }

    pub(super) fn on_relation(&mut self, tip: Tip, mut pack: Pack) {
        let commits = match self
            .objects
            .as_ref()
            .map(|objects| objects.commits(&mut pack))
        {
            Some(Ok(commits)) => commits,
            Some(Err(error)) => return self.on_fault(error),
            None => return,
        };
        let mut reached = BTreeSet::new();
        let mut next = alloc::vec![tip.commit];
        while let Some(id) = next.pop() {
            if reached.insert(id)
                && let Some(commit) = commits.get(&id).and_then(|data| Commit::parse(data))
            {
                next.extend(commit.parents);
            }
        }
        let tip = if reached.contains(&tip.old) {
            Tip {
                relation: Relation::Restarted,
                ..tip
            }
        } else {
            // Of a base that is all in the written branch nothing is sent.
            let relation = if commits.is_empty() {
                Relation::Ahead
            } else {
                Relation::Diverged
            };
            Tip {
                relation,
                commit: tip.old,
                ..tip
            }
        };
        self.start(tip);
    }

    /// A history too large to read is one that diverged: the commit goes on top, which loses nothing. True
    /// when that is so here.
    pub(super) fn can_do_without_history(&mut self) -> bool {
        let Phase::Relation(tip) = &self.phase else {
            return false;
        };
        let tip = Tip {
            relation: Relation::Diverged,
            commit: tip.old,
            ..tip.clone()
        };
        self.close();
        self.start(tip);
        true
    }

    /// Looks for a batch on the branch, which is at `tip`, among what came after `since`.
    pub(super) fn search(&mut self, tip: ObjectId, since: Option<ObjectId>) {
        if tip.is_null() || since == Some(tip) {
            return self.finish(Outcome::Inspected { commit: None, tip });
        }
        let request = FetchRequest {
            wants: [tip].into(),
            haves: since.into_iter().collect(),
            depth: since.is_none().then_some(SEARCH_DEPTH_MAX),
            filter: Some(Filter::Trees),
            ..FetchRequest::default()
        };
        self.phase = Phase::Search(tip);
        self.fetch(&request);
    }

    pub(super) fn on_search(&mut self, tip: ObjectId, mut pack: Pack) {
        let (Job::Inspect(inspect), Some(objects)) = (&self.job, &self.objects) else {
            return;
        };
        let outcome = match objects.commits(&mut pack) {
            Ok(commits) => {
                let found = commits
                    .iter()
                    .find(|(_, data)| object::has_message_line(data, &inspect.trailer));
                Outcome::Inspected {
                    commit: found.map(|(id, _)| *id),
                    tip,
                }
            }
            Err(error) => return self.on_fault(error),
        };
        self.finish(outcome);
    }

    /// Sends a request for objects.
    pub(super) fn fetch(&mut self, request: &FetchRequest) {
        let bytes = self.server().map(|server| request.to_bytes(server));
        if let (Some(bytes), Some(reply)) = (bytes, self.fetch_reader()) {
            self.ask(bytes, reply);
        }
    }
}
