//! A listing moves on page by page, and ends (`registry.md` 6.1).
//!
//! Invariant: pages that were read are a [`ListingBuilder`](super::listing::ListingBuilder) until the last
//! one is there; no decision is taken on a part. All pages of a listing are read within one attempt.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};

use super::condition::Validator;
use super::facts::tag_set;
use super::job::{JobId, Task};
use super::listing::PageError;
use super::outcome::{LookupFailureKind as Kind, RegistryOutcome};
use super::page_size::PAGE_TAGS_WANTED;
use super::ping::PingState;
use super::reply::Refusal;
use super::{Registry, RepositoryId, link, url};
use crate::http::HttpResponse;
use crate::keyed::fingerprint;

impl Registry {
    /// The first page of a repository's tag list; of the registry's own size, or a larger one.
    pub(super) fn listing_url(&self, id: RepositoryId, is_large: bool) -> String {
        let repository = &self.repositories[&id].key;
        let api_url = &self.endpoints[repository.endpoint].api_url;
        let path = format!("/v2/{}/tags/list", repository.name);
        if is_large {
            url::join_api(api_url, &format!("{path}?n={PAGE_TAGS_WANTED}"))
        } else {
            url::join_api(api_url, &path)
        }
    }

    pub(super) fn on_page(&mut self, id: JobId, response: &HttpResponse) {
        let pages_max = self.settings.pages_max as usize;
        let foreign = self.endpoints[self.endpoint_id(id)]
            .settings()
            .foreign_links;
        let job = self.job_mut(id);
        let requested = job.hop.as_ref().map(|hop| hop.url.clone());
        let Task::Listing(task) = &mut job.task else {
            return;
        };
        let requested = requested.unwrap_or_else(|| task.url.clone());
        if let Err(error) = task.builder.read_page(&response.body) {
            let kind = match error {
                PageError::Malformed => Kind::Malformed,
                PageError::TooManyTags(_) => Kind::Overflow,
            };
            let refusal = Refusal::lasting(kind, error.to_string());
            if !self.is_begun_in_own_pages(id) {
                self.fail_or_ping(id, refusal, &response.body);
            }
            return;
        }
        task.seen.insert(fingerprint(task.url.as_bytes()));
        let n_names = task.builder.n_names();
        match link::next_page(&requested, response.headers_named("link"), foreign) {
            Err(error) => self.fail_page(id, Kind::Malformed, error.to_string()),
            Ok(None) => {
                if !self.is_whole_by_pages(id) {
                    return;
                }
                let validator = self.validator_of(id, response, n_names);
                self.finish_listing(id, validator);
            }
            Ok(Some(next)) => {
                let is_known = task.seen.contains(&fingerprint(next.as_bytes()));
                let n_pages = task.seen.len();
                let is_circle = task.builder.is_going_in_circles();
                task.url = next;
                if is_circle {
                    let detail = "its pages go on and on without a tag that was not told before";
                    self.fail_page(id, Kind::Malformed, detail);
                } else if is_known {
                    let detail = "its pages lead back to a page that was read already";
                    self.fail_page(id, Kind::Malformed, detail);
                } else if n_pages >= pages_max {
                    let detail = format!("its tag list has more than {pages_max} pages");
                    self.fail_page(id, Kind::Overflow, detail);
                } else {
                    self.job_mut(id).begin_exchange();
                    self.enqueue_begun(id);
                }
            }
        }
    }

    /// A page that cannot be used ends the list, unless it can be had in other pages.
    fn fail_page(&mut self, id: JobId, kind: Kind, detail: impl Into<Box<str>>) {
        if !self.is_begun_in_own_pages(id) {
            self.fail(id, &Refusal::lasting(kind, detail));
        }
    }

    /// What was read may be gone by now: the next attempt reads all pages anew (`registry.md` 6.2).
    pub(super) fn begin_listing_anew(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let is_large = matches!(&job.task, Task::Listing(task) if task.is_large);
        let first_url = self.listing_url(job.repository, is_large);
        let job = self.job_mut(id);
        job.pinged_for = None;
        if let Task::Listing(task) = &mut job.task {
            task.url = first_url;
            task.seen.clear();
            task.builder.clear();
        }
    }

    /// A 304. One that cannot be believed, or that there is no list for any more, has the list asked for
    /// without a condition; one that nobody asked for is a failure.
    pub(super) fn on_unchanged(&mut self, id: JobId, response: &HttpResponse) {
        if self.is_confirmed_by(id, response) {
            self.confirm_listing(id);
            return;
        }
        if let Task::Listing(task) = &mut self.job_mut(id).task
            && task.has_condition
        {
            task.is_conditional = false;
            self.job_mut(id).begin_exchange();
            self.enqueue_begun(id);
            return;
        }
        let detail = "the server says that nothing changed (HTTP 304), which was not asked";
        self.on_refused(id, &Refusal::lasting(Kind::Malformed, detail));
    }

    /// The kept list holds for another interval; nothing is decided again.
    fn confirm_listing(&mut self, id: JobId) {
        let now = self.now;
        let job = self.jobs.remove(&id).expect("the lookup is under way");
        let Task::Listing(task) = job.task else {
            return;
        };
        let repository = self.repository_mut(job.repository);
        if let Some(listing) = &mut repository.listing {
            listing.confirm(task.builder.started(), now);
        }
        if let Some(validator) = &mut repository.validator {
            validator.on_confirmed();
        }
        self.touch_listing(job.repository);
        self.tell_listing(job.repository, false);
    }

    fn finish_listing(&mut self, id: JobId, validator: Option<Validator>) {
        let now = self.now;
        let endpoint = self.endpoint_id(id);
        self.endpoints[endpoint].ping = PingState::Answered;
        let job = self.jobs.remove(&id).expect("the lookup is under way");
        let Task::Listing(task) = job.task else {
            return;
        };
        let listing = task.builder.finish(now);
        let repository = self.repository_mut(job.repository);
        let changed = repository.fingerprint != Some(listing.fingerprint());
        repository.fingerprint = Some(listing.fingerprint());
        repository.validator = validator.map(Box::new);
        if changed && self.facts.has_any(job.repository) {
            let tags = tag_set(listing.tags());
            self.facts
                .retain_tags(job.repository, |tag| tags.contains(tag));
        }
        self.keep_listing(job.repository, listing);
        self.tell_listing(job.repository, changed);
    }

    fn tell_listing(&mut self, id: RepositoryId, changed: bool) {
        let repository = self.repository_mut(id);
        repository.failure = None;
        repository.learnt = repository.login;
        repository.listing_job = None;
        let waiters = core::mem::take(&mut repository.waiters);
        self.outcomes.push_back(RegistryOutcome::ListingFinished {
            repository: id,
            changed,
            result: Ok(()),
            waiters,
        });
    }
}
