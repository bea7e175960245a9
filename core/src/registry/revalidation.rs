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

use super::fact_table::{FactsAge, FactsPlan, KnownTag, StalePlace};
use super::facts::{FactsKey, StaleBar, TableKey};
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
    /// those of kind [`FactsKind::Created`] for an hour, and twice as long each time the tag is found to
    /// point to the same, up to a day; both only while the tag is listed. Where more of a repository's dates
    /// are too old than may be asked for again at once, the others are answered as they are known; so is a
    /// tag known to be missing. A tag that there is no room for fails with
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
        let table = TableKey {
            repository: id,
            kind,
            platforms: platforms.clone(),
        };
        let mono = self.now.mono;
        self.facts.touch(&table, tag, mono);
        let age = self.age_of(kind);
        let known = self.facts.find(&table, tag);
        let mut plan = known.map_or(FactsPlan::Start, |known| known.plan(mono, &age));
        if plan == FactsPlan::Start
            && let Some(stale) = known.and_then(KnownTag::stale_plan)
        {
            let place = known.and_then(KnownTag::stale_place);
            let can_start = (kind != FactsKind::Created
                || place.is_none_or(|place| self.can_revalidate(id, place)))
                && self.facts.can_begin(&table, tag, mono);
            if !can_start {
                plan = stale;
            }
        } else if plan == FactsPlan::Start && !self.facts.can_begin(&table, tag, mono) {
            return self.turn_away(id, tag);
        }
        match plan {
            FactsPlan::Keep | FactsPlan::Fail => {}
            FactsPlan::Join => {
                self.shared.on_follower(SharedKind::Manifest);
                let tag = tag.into();
                self.facts.add_waiter(&FactsKey { table, tag }, waiter);
                return FactsAnswer::Waiting;
            }
            FactsPlan::Start => {
                self.shared.on_leader(SharedKind::Manifest);
                let tag = tag.into();
                self.start_facts(&FactsKey { table, tag }, waiter);
                return FactsAnswer::Waiting;
            }
        }
        let known = self.facts.find(&table, tag);
        let kept = known.and_then(KnownTag::kept);
        match (plan, kept, known.and_then(KnownTag::failure)) {
            (FactsPlan::Keep, Some(facts), _) => FactsAnswer::Known(facts),
            (FactsPlan::Fail, _, Some(failure)) => FactsAnswer::Failed(failure),
            _ => unreachable!("what is kept or failed is there"),
        }
    }

    /// How long facts of a kind hold.
    fn age_of(&self, kind: FactsKind) -> FactsAge {
        let interval = self.settings.interval;
        let (min, max) = match kind {
            FactsKind::Digest => (interval, interval),
            FactsKind::Created => (self.settings.created_age_min, self.settings.created_age_max),
        };
        FactsAge {
            interval,
            once: self.settings.once,
            min,
            max,
            seed: self.seed,
        }
    }

    /// All memory for facts is taken by what is being looked up: one more would be growth without bound
    /// (A10).
    fn turn_away(&mut self, id: RepositoryId, tag: &str) -> FactsAnswer<'_> {
        let what = format!("cannot read tag {tag} of");
        let bytes_max = self.settings.facts_bytes_max;
        let detail = format!("the {bytes_max} bytes for facts of tags are full");
        let refusal = Refusal::lasting(Kind::Overflow, detail);
        let failure = self.describe_in(id, &what, &refusal);
        FactsAnswer::Failed(self.turned_away.insert(Box::new(failure)))
    }

    /// True when something that is known, but old, is to be asked for again now.
    fn can_revalidate(&mut self, id: RepositoryId, place: StalePlace) -> bool {
        let now = self.now.mono;
        let n_max = self.settings.revalidations_max;
        if self.repositories[&id].revalidation.is_over(now) {
            let interval = self.settings.interval;
            let age = FactsAge {
                once: false,
                ..self.age_of(FactsKind::Created)
            };
            // Tags that no check has asked about for long are in nobody's way.
            let unwanted_age = age.min.max(interval.saturating_mul(2));
            let bar = self.facts.stale_bar(id, n_max as usize, |tag| {
                now.since(tag.wanted()) <= unwanted_age && tag.plan(now, &age) == FactsPlan::Start
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

    fn start_facts(&mut self, key: &FactsKey, waiter: WaiterId) {
        let id = key.table.repository;
        let is_tag = listing::is_tag(key.tag.as_bytes());
        let task = FactsTask {
            key: key.clone(),
            stage: Stage::Tag,
            inspection: Inspection::new(key.table.kind, key.table.platforms.clone()),
            leads: None,
        };
        let job = self.add_job(Job::new(id, Task::Facts(Box::new(task))));
        let has_kept = self.facts.begin(key, job, waiter, self.now.mono);
        // The digest alone is worth asking for when there is something that it can confirm.
        if has_kept
            && !self.repositories[&id].is_head_in_vain
            && let Task::Facts(task) = &mut self.job_mut(job).task
        {
            task.stage = Stage::Head;
        }
        if is_tag {
            self.admit(job);
        } else {
            // A text that is no tag must not become part of a URL.
            let refusal = Refusal::lasting(Kind::Malformed, "this is no tag");
            self.fail(job, &refusal);
        }
    }
}
