//! Facts of tags are wanted: what is known, what is asked for, and how much of what is old is asked for
//! again.
//!
//! Invariant: of one repository at most [`RegistrySettings::revalidations_max`] known facts of kind
//! [`FactsKind::Created`] are asked for again per interval, the oldest first. What was read once stays
//! known, so that checks of a very large repository get further with each one and never start over.
//!
//! [`RegistrySettings::revalidations_max`]: super::RegistrySettings::revalidations_max

use alloc::boxed::Box;
use alloc::format;

use super::facts::{FactsKey, FactsPlan, StaleBar, StalePlace};
use super::inspection::Inspection;
use super::job::{FactsTask, Job, Stage, Task};
use super::observation::SharedKind;
use super::outcome::{LookupFailureKind as Kind, WaiterId};
use super::reply::Refusal;
use super::{FactsAnswer, FactsKind, PlatformKeySet, Registry, RepositoryId, listing};
use crate::time::{Now, Time};

/// How many known facts of a repository were asked for again lately.
#[derive(Debug, Default)]
pub(super) struct Revalidation {
    /// When counting begins anew.
    ends: Option<Time>,
    n_started: u32,
    /// Who comes later in the line has to wait for the next time.
    bar: Option<StaleBar>,
}

impl Revalidation {
    fn is_over(&self, now: Time) -> bool {
        self.ends.is_none_or(|ends| ends <= now)
    }

    fn take(&mut self, place: StalePlace, n_max: u32) -> bool {
        let can_start = self.n_started < n_max
            && self
                .bar
                .is_none_or(|bar| place < bar.at || (place == bar.at && bar.n_at > 0));
        if can_start {
            self.n_started += 1;
            if let Some(bar) = self.bar.as_mut().filter(|bar| place == bar.at) {
                bar.n_at -= 1;
            }
        }
        can_start
    }
}

impl Registry {
    /// Asks what is to be known about a tag. Facts of kind [`FactsKind::Digest`] hold for one interval,
    /// those of kind [`FactsKind::Created`] for an hour, both only while the tag is listed. Where more of
    /// a repository's dates are too old than may be asked for again at once, the others are answered as
    /// they are known; so is a tag known to be missing. A tag that there is no room for fails with
    /// [`LookupFailureKind::Overflow`](Kind::Overflow).
    ///
    /// # Panics
    /// When the repository is not known.
    pub fn want_facts(
        &mut self,
        now: Now,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        platforms: &PlatformKeySet,
        waiter: WaiterId,
    ) -> FactsAnswer<'_> {
        self.note_time(now);
        let key = FactsKey {
            repository: id,
            tag: tag.into(),
            kind,
            platforms: platforms.clone(),
        };
        let age_max = match kind {
            FactsKind::Digest => self.settings.interval,
            FactsKind::Created => self.settings.created_age_max,
        };
        let (interval, once) = (self.settings.interval, self.settings.once);
        let mono = self.now.mono;
        let Some(entry) = self.facts.entry(&key, mono) else {
            return self.turn_away(&key);
        };
        let mut plan = entry.plan(mono, interval, age_max, once);
        let stale = entry.stale_plan().zip(entry.stale_place());
        if plan == FactsPlan::Start
            && kind == FactsKind::Created
            && let Some((stale_plan, place)) = stale
            && !self.can_revalidate(id, place)
        {
            plan = stale_plan;
        }
        match plan {
            FactsPlan::Keep | FactsPlan::Fail => {}
            FactsPlan::Join | FactsPlan::Start => {
                self.facts.add_waiter(&key, waiter);
                if plan == FactsPlan::Join {
                    self.shared.on_follower(SharedKind::Manifest);
                } else {
                    self.shared.on_leader(SharedKind::Manifest);
                }
            }
        }
        if plan == FactsPlan::Start {
            self.start_facts(&key);
        }
        let entry = self.facts.find(&key).expect("the entry was made above");
        match (plan, &entry.kept, &entry.failure) {
            (FactsPlan::Keep, Some(facts), _) => FactsAnswer::Known(facts),
            (FactsPlan::Fail, _, Some(failure)) => FactsAnswer::Failed(failure),
            _ => FactsAnswer::Waiting,
        }
    }

    /// Every entry there may be is being looked up: one more would be growth without bound (A10).
    fn turn_away(&mut self, key: &FactsKey) -> FactsAnswer<'_> {
        let what = format!("cannot read tag {} of", key.tag);
        let detail = format!("{} tags are being read already", self.settings.facts_max);
        let refusal = Refusal::lasting(Kind::Overflow, detail);
        let failure = self.describe_in(key.repository, &what, &refusal);
        FactsAnswer::Failed(self.turned_away.insert(Box::new(failure)))
    }

    /// True when something that is known, but old, is to be asked for again now.
    fn can_revalidate(&mut self, id: RepositoryId, place: StalePlace) -> bool {
        let now = self.now.mono;
        let n_max = self.settings.revalidations_max;
        if self.repositories[&id].revalidation.is_over(now) {
            let (interval, age_max) = (self.settings.interval, self.settings.created_age_max);
            // Tags that no check has asked about for long are in nobody's way.
            let unwanted_age = age_max.max(interval.saturating_mul(2));
            let bar = self.facts.stale_bar(id, n_max as usize, |entry| {
                entry
                    .wanted
                    .is_some_and(|wanted| now.since(wanted) <= unwanted_age)
                    && entry.plan(now, interval, age_max, false) == FactsPlan::Start
            });
            // A check may come a tenth of the interval early.
            self.repository_mut(id).revalidation = Revalidation {
                ends: Some(now.after(interval.saturating_sub(interval / 10))),
                n_started: 0,
                bar,
            };
        }
        self.repository_mut(id).revalidation.take(place, n_max)
    }

    fn start_facts(&mut self, key: &FactsKey) {
        let task = FactsTask {
            key: key.clone(),
            stage: Stage::Tag,
            inspection: Inspection::new(key.kind, key.platforms.clone()),
        };
        let job = self.add_job(Job::new(key.repository, Task::Facts(Box::new(task))));
        let has_kept = self.facts.begin(key, job, self.now.mono);
        // The digest alone is worth asking for when there is something that it can confirm.
        if has_kept && let Task::Facts(task) = &mut self.job_mut(job).task {
            task.stage = Stage::Head;
        }
        if listing::is_tag(key.tag.as_bytes()) {
            self.admit(job);
        } else {
            // A text that is no tag must not become part of a URL.
            let refusal = Refusal::lasting(Kind::Malformed, "this is no tag");
            self.fail(job, &refusal);
        }
    }
}
