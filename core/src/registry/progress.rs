//! Lookups move on: what each answer means for the lookup that asked.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::attempt::throttled_refusal;
use super::digest::ManifestDigest;
use super::endpoint::EndpointId;
use super::exchange::stalled_refusal;
use super::facts::{FactsKey, tag_set};
use super::inspection::{InspectionStep, TagFacts};
use super::job::{Hop, Job, JobId, Phase, Stage, Task};
use super::observation::Observation;
use super::outcome::{LookupFailure, LookupFailureKind as Kind, RegistryOutcome};
use super::reload::retired_refusal;
use super::reply::{Refusal, Reply, judge, judge_status};
use super::{Registry, link, token, url};
use crate::http::{HttpOutcome, HttpResponse, Method};
use crate::keyed::fingerprint;

/// Most redirects of one exchange.
const HOPS_MAX: u8 = 10;

impl Registry {
    pub(super) fn job_mut(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("the lookup is under way")
    }

    /// Lets a new lookup in: at the end of its endpoint's queue, or not at all.
    pub(super) fn admit(&mut self, id: JobId) {
        let endpoint = self.endpoint_id(id);
        let queue_max = self.settings.queue_max;
        let state = &mut self.endpoints[endpoint];
        if state.n_queued() >= queue_max {
            let detail = format!("{queue_max} lookups wait for it already");
            self.fail(id, &Refusal::lasting(Kind::Overflow, detail));
        } else if self.is_open(id, endpoint) {
            self.endpoints[endpoint].fresh.push_back(id);
            self.sendable.insert(endpoint);
        }
    }

    /// Lets a lookup go on, ahead of those that have not begun.
    pub(super) fn enqueue_begun(&mut self, id: JobId) {
        if !self.jobs.contains_key(&id) {
            return;
        }
        let endpoint = self.endpoint_id(id);
        if self.is_open(id, endpoint) {
            self.job_mut(id).phase = Phase::Queued;
            self.endpoints[endpoint].begun.push_back(id);
            self.sendable.insert(endpoint);
        }
    }

    /// Fails the lookup when its endpoint is retired or closed, or throttled for longer than is waited for.
    fn is_open(&mut self, id: JobId, endpoint: EndpointId) -> bool {
        let now = self.now.mono;
        let state = &self.endpoints[endpoint];
        if state.is_retired {
            self.fail(id, &retired_refusal());
            return false;
        }
        if state.is_closed() {
            self.fail(id, &stalled_refusal());
            return false;
        }
        let window_max = now.after(self.settings.throttle_wait_max);
        if let Some(until) = state.throttle_end(now).filter(|until| *until > window_max) {
            self.fail(id, &throttled_refusal(until.since(now)));
            return false;
        }
        true
    }

    /// A throttle window ended, or a permit is there.
    pub(super) fn on_endpoint_due(&mut self, id: EndpointId) {
        let now = self.now.mono;
        if let Some(endpoint) = self.endpoints.find_mut(id) {
            if endpoint.throttle_end(now).is_none() {
                endpoint.throttled_until = None;
            }
            self.sendable.insert(id);
            self.forget_endpoint_if_unused(id);
        }
    }

    pub(super) fn on_answer(&mut self, id: JobId, outcome: HttpOutcome) {
        if !self.jobs.contains_key(&id) {
            return;
        }
        let is_token = matches!(self.jobs[&id].task, Task::Token(_));
        match judge(outcome) {
            Reply::Found(response) => self.on_found(id, &response),
            Reply::Moved(place) => self.on_moved(id, &place),
            Reply::Challenged(response) if is_token => {
                self.on_refused(id, &judge_status(&response));
            }
            Reply::Challenged(response) => self.on_challenged(id, &response),
            Reply::Refused(refusal) => self.on_refused(id, &refusal),
        }
    }

    fn on_found(&mut self, id: JobId, response: &HttpResponse) {
        match &self.jobs[&id].task {
            Task::Listing(_) => self.on_page(id, response),
            Task::Facts(_) => self.on_document(id, response),
            Task::Token(task) => {
                let method = if task.is_refresh {
                    Method::Post
                } else {
                    Method::Get
                };
                match token::read_response(method, &response.body) {
                    Ok(issued) => self.on_token(id, issued),
                    Err(error) => {
                        self.observe_token(id, |endpoint, subject| Observation::TokenUnreadable {
                            endpoint,
                            subject,
                        });
                        self.fail(id, &Refusal::lasting(Kind::Malformed, error.to_string()));
                    }
                }
            }
        }
    }

    fn on_page(&mut self, id: JobId, response: &HttpResponse) {
        let pages_max = self.settings.pages_max as usize;
        let job = self.job_mut(id);
        let requested = job.hop.as_ref().map(|hop| hop.url.clone());
        let Task::Listing(task) = &mut job.task else {
            return;
        };
        let requested = requested.unwrap_or_else(|| task.url.clone());
        if let Err(error) = task.builder.read_page(&response.body) {
            let kind = match error {
                super::listing::PageError::Malformed => Kind::Malformed,
                super::listing::PageError::TooManyTags(_) => Kind::Overflow,
            };
            self.fail(id, &Refusal::lasting(kind, error.to_string()));
            return;
        }
        task.seen.insert(fingerprint(task.url.as_bytes()));
        match link::next_page(&requested, response.headers_named("link")) {
            Err(error) => self.fail(id, &Refusal::lasting(Kind::Malformed, error.to_string())),
            Ok(None) => self.finish_listing(id),
            Ok(Some(next)) => {
                let is_known = task.seen.contains(&fingerprint(next.as_bytes()));
                let n_pages = task.seen.len();
                task.url = next;
                if is_known {
                    let detail = "its pages lead back to a page that was read already";
                    self.fail(id, &Refusal::lasting(Kind::Malformed, detail));
                } else if n_pages >= pages_max {
                    let detail = format!("its tag list has more than {pages_max} pages");
                    self.fail(id, &Refusal::lasting(Kind::Overflow, detail));
                } else {
                    self.job_mut(id).begin_exchange();
                    self.enqueue_begun(id);
                }
            }
        }
    }

    fn finish_listing(&mut self, id: JobId) {
        let now = self.now;
        let job = self.jobs.remove(&id).expect("the lookup is under way");
        let Task::Listing(task) = job.task else {
            return;
        };
        let listing = task.builder.finish(now);
        let repository = self.repository_mut(job.repository);
        let changed = repository.fingerprint != Some(listing.fingerprint());
        repository.fingerprint = Some(listing.fingerprint());
        repository.failure = None;
        repository.listing_job = None;
        let waiters = core::mem::take(&mut repository.waiters);
        if changed && self.facts.has_any(job.repository) {
            let tags = tag_set(listing.tags());
            self.facts
                .retain_tags(job.repository, |tag| tags.contains(tag));
        }
        self.keep_listing(job.repository, listing);
        self.outcomes.push_back(RegistryOutcome::ListingFinished {
            repository: job.repository,
            changed,
            result: Ok(()),
            waiters,
        });
    }

    fn on_document(&mut self, id: JobId, response: &HttpResponse) {
        let job = self.job_mut(id);
        let Task::Facts(task) = &mut job.task else {
            return;
        };
        let content_type = response.header("content-type");
        let key = task.key.clone();
        let step = match &task.stage {
            Stage::Head => {
                let digest = response
                    .header("docker-content-digest")
                    .and_then(ManifestDigest::parse);
                match digest.and_then(|digest| self.known_facts(&key, digest)) {
                    Some(facts) => self.finish_facts(id, &key, Ok(facts)),
                    None => self.ask_by_get(id),
                }
                return;
            }
            Stage::Tag => {
                let digest = ManifestDigest::of(&response.body);
                if let Some(facts) = self.known_facts(&key, digest) {
                    self.finish_facts(id, &key, Ok(facts));
                    return;
                }
                let Task::Facts(task) = &mut self.job_mut(id).task else {
                    return;
                };
                task.inspection.on_manifest(content_type, &response.body)
            }
            Stage::Manifest(_) => task.inspection.on_manifest(content_type, &response.body),
            Stage::Config(_) => task.inspection.on_config(&response.body),
        };
        let next = match step {
            InspectionStep::Done(facts) => {
                self.facts.learn(key.kind, &key.platforms, &facts);
                self.finish_facts(id, &key, Ok(facts));
                return;
            }
            InspectionStep::Corrupt => {
                let refusal = Refusal {
                    kind: Kind::Transient,
                    is_retryable: true,
                    retry_after: None,
                    detail: "a content does not have the digest that it was asked for by".into(),
                };
                self.retry(id, &refusal);
                return;
            }
            InspectionStep::Manifest(digest) => Stage::Manifest(digest),
            InspectionStep::Config(digest) => Stage::Config(digest),
        };
        self.begin_stage(id, next);
    }

    /// The server does not tell the digest alone: the manifest is asked for.
    fn ask_by_get(&mut self, id: JobId) {
        self.begin_stage(id, Stage::Tag);
    }

    fn begin_stage(&mut self, id: JobId, stage: Stage) {
        let job = self.job_mut(id);
        if let Task::Facts(task) = &mut job.task {
            task.stage = stage;
        }
        job.begin_exchange();
        self.enqueue_begun(id);
    }

    /// Facts of a digest that are known already: what the tag had before, or another tag has.
    fn known_facts(&mut self, key: &FactsKey, digest: ManifestDigest) -> Option<TagFacts> {
        let kept = self.facts.find(key).and_then(|entry| entry.kept.clone());
        kept.filter(|facts| facts.digest() == digest)
            .or_else(|| self.facts.known(digest, key.kind, &key.platforms))
    }

    pub(super) fn finish_facts(
        &mut self,
        id: JobId,
        key: &FactsKey,
        result: Result<TagFacts, LookupFailure>,
    ) {
        self.jobs.remove(&id);
        let Some(waiters) = self.facts.finish(key, &result) else {
            return;
        };
        self.outcomes.push_back(RegistryOutcome::FactsFinished {
            repository: key.repository,
            tag: key.tag.clone(),
            kind: key.kind,
            result,
            waiters,
        });
    }

    fn on_moved(&mut self, id: JobId, place: &str) {
        let job = &self.jobs[&id];
        let is_refresh = matches!(&job.task, Task::Token(task) if task.is_refresh);
        let n_hops = job.hop.as_ref().map_or(0, |hop| hop.n_hops) + 1;
        let base = self.asked_url(id);
        let next = url::resolve(&base, place).filter(|next| {
            let is_downgrade = url::split(&base).is_some_and(|base| base.is_https)
                && url::split(next).is_some_and(|next| !next.is_https);
            !is_downgrade
        });
        let detail = match next {
            Some(url) if n_hops <= HOPS_MAX && !is_refresh => {
                self.job_mut(id).hop = Some(Hop { url, n_hops });
                self.enqueue_begun(id);
                return;
            }
            Some(_) if is_refresh => "the token server redirects a request that holds a secret",
            Some(_) => "the server redirects too often",
            None => "the server redirects to no URL that may be followed",
        };
        self.fail(id, &Refusal::lasting(Kind::Malformed, detail));
    }

    /// The URL that the last request of a lookup went to; of a redirect it is the base.
    pub(super) fn asked_url(&self, id: JobId) -> String {
        let job = &self.jobs[&id];
        if let Some(hop) = &job.hop {
            return hop.url.clone();
        }
        let repository = &self.repositories[&job.repository].key;
        let api_url = &self.endpoints[repository.endpoint].api_url;
        match &job.task {
            Task::Listing(task) => task.url.clone(),
            Task::Facts(task) => {
                let path = match &task.stage {
                    Stage::Head | Stage::Tag => format!("manifests/{}", task.key.tag),
                    Stage::Manifest(digest) => format!("manifests/{digest}"),
                    Stage::Config(digest) => format!("blobs/{digest}"),
                };
                url::join_api(api_url, &format!("/v2/{}/{path}", repository.name))
            }
            Task::Token(task) => task.realm.to_string(),
        }
    }

    fn on_refused(&mut self, id: JobId, refusal: &Refusal) {
        let job = self.job_mut(id);
        let repository = job.repository;
        match &mut job.task {
            Task::Facts(task) if matches!(task.stage, Stage::Head) => {
                // Some servers know no HEAD; what they say to a GET is what counts.
                if matches!(refusal.kind, Kind::Malformed | Kind::Missing) {
                    self.ask_by_get(id);
                    return;
                }
            }
            Task::Token(task) if task.is_refresh && !refusal.is_retryable => {
                let repository = self.repository_mut(repository);
                if repository.refresh_token.take().is_some() {
                    // A refresh token that the server once volunteered no longer holds.
                    self.enqueue_begun(id);
                    return;
                }
            }
            Task::Listing(_) | Task::Facts(_) | Task::Token(_) => {}
        }
        if refusal.kind == Kind::Denied {
            self.deny(id, refusal);
        } else {
            self.retry(id, refusal);
        }
    }

    pub(super) fn endpoint_id(&self, id: JobId) -> EndpointId {
        self.repositories[&self.jobs[&id].repository].key.endpoint
    }
}
