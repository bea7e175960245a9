//! Lookups move on: what each answer means for the lookup that asked.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::digest::ManifestDigest;
use super::facts::FactsKey;
use super::inspection::{Inspection, InspectionStep, TagFacts};
use super::job::{Hop, Job, JobId, Phase, Stage, Task};
use super::observation::Observation;
use super::outcome::{LookupFailure, LookupFailureKind as Kind, RegistryOutcome};
use super::reply::{Refusal, Reply, errors_of, judge, judge_status};
use super::{Registry, token, url};
use crate::http::{HttpOutcome, HttpResponse, Method};

/// What stands for the words of a server that a redirect led to.
const FOREIGN_WORDS: &[u8] = b"not shown, it came from the server that a redirect led to";
/// Most redirects of one exchange.
const HOPS_MAX: u8 = 10;

impl Registry {
    pub(super) fn job_mut(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("the lookup is under way")
    }

    pub(super) fn on_answer(&mut self, id: JobId, outcome: HttpOutcome) {
        if !self.jobs.contains_key(&id) {
            return;
        }
        let Some(mut outcome) = self.take_ping(id, outcome) else {
            return;
        };
        if let HttpOutcome::Response(response) = &mut outcome
            && response.status >= 400
        {
            self.drop_echo(id, response);
        }
        if self.is_missing(id, &outcome)
            && let HttpOutcome::Response(response) = &outcome
        {
            if self.is_begun_in_own_pages(id) {
                return;
            }
            let mut refusal = judge_status(response, self.now.wall);
            let is_list = matches!(self.jobs[&id].task, Task::Listing(_));
            if !is_list && is_repository_unknown(&response.body) {
                refusal.kind = Kind::RepositoryMissing;
            }
            self.fail_or_ping(id, refusal, &response.body);
            return;
        }
        let is_token = matches!(self.jobs[&id].task, Task::Token(_));
        if let HttpOutcome::Response(response) = &mut outcome
            && response.status >= 400
            && !is_token
            && !self.is_at_own_origin(id)
        {
            // Stores repeat what was signed, and how, in their words about a signature that they refuse.
            response.body = FOREIGN_WORDS.into();
        }
        if let HttpOutcome::Response(response) = &outcome
            && matches!(response.status, 405 | 501)
            && self.is_asking_by_head(id)
        {
            let repository = self.jobs[&id].repository;
            self.repository_mut(repository).is_head_in_vain = true;
            self.begin_stage(id, Stage::Tag);
            return;
        }
        match judge(outcome, self.now.wall) {
            Reply::Found(response) => self.on_found(id, &response),
            Reply::Moved(place) => self.on_moved(id, &place),
            Reply::Unchanged(response) => self.on_unchanged(id, &response),
            Reply::Challenged(response) if is_token => {
                self.on_refused(id, &judge_status(&response, self.now.wall));
            }
            Reply::Challenged(response) => self.on_challenged(id, &response),
            Reply::Refused(refusal) => self.on_refused(id, &refusal),
        }
    }

    /// True when what was asked for by name, and not by digest, is said to be missing.
    fn is_missing(&self, id: JobId, outcome: &HttpOutcome) -> bool {
        let is_by_name = match &self.jobs[&id].task {
            Task::Listing(_) => true,
            Task::Facts(task) => matches!(task.stage, Stage::Tag),
            Task::Token(_) => false,
        };
        matches!(outcome, HttpOutcome::Response(response) if matches!(response.status, 404 | 410))
            && is_by_name
            && self.is_at_own_origin(id)
    }

    fn is_asking_by_head(&self, id: JobId) -> bool {
        matches!(&self.jobs[&id].task, Task::Facts(task) if matches!(task.stage, Stage::Head))
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

    fn on_document(&mut self, id: JobId, response: &HttpResponse) {
        let job = self.job_mut(id);
        let Task::Facts(task) = &mut job.task else {
            return;
        };
        let content_type = response.header("content-type");
        let claimed = response
            .header("docker-content-digest")
            .and_then(ManifestDigest::parse);
        let key = task.key.clone();
        let step = match &task.stage {
            Stage::Head => {
                self.on_head(id, &key, claimed);
                return;
            }
            Stage::Tag => {
                let digest = ManifestDigest::of(&response.body);
                if let Some(facts) = self.facts.known(&key, digest) {
                    self.finish_facts(id, &key, Ok(facts));
                    return;
                }
                if self.is_following(id, &key, digest) {
                    return;
                }
                let Task::Facts(task) = &mut self.job_mut(id).task else {
                    return;
                };
                let step = task.inspection.on_manifest(content_type, &response.body);
                if claimed.is_some_and(|claimed| !task.inspection.is_rightly_claimed(claimed)) {
                    // What was damaged on the way must not be taken for what the tag means (D-22).
                    task.inspection = Inspection::new(key.table.kind, key.table.platforms.clone());
                    InspectionStep::Corrupt
                } else {
                    task.leads = Some(digest);
                    self.facts.lead(&key, digest, id);
                    step
                }
            }
            Stage::Manifest(_) => task.inspection.on_manifest(content_type, &response.body),
            Stage::Config(_) => task.inspection.on_config(&response.body),
        };
        let again = |kind, detail| Refusal {
            kind,
            is_retryable: true,
            retry_after: None,
            detail,
        };
        let next = match step {
            InspectionStep::Done(facts) => {
                self.finish_facts(id, &key, Ok(facts));
                return;
            }
            InspectionStep::Garbled { digest, reason } if claimed.is_some() => {
                // Damaged it is not: it has the digest that the registry knows it by.
                self.finish_facts(id, &key, Ok(TagFacts::Unusable { digest, reason }));
                return;
            }
            InspectionStep::Garbled { reason, .. } => {
                self.begin_inspection_anew(id);
                self.retry(id, &again(Kind::Malformed, reason));
                return;
            }
            InspectionStep::Corrupt => {
                let detail = "a content does not have the digest that it was asked for by";
                self.retry(id, &again(Kind::Transient, detail.into()));
                return;
            }
            InspectionStep::Manifest(digest) => Stage::Manifest(digest),
            InspectionStep::Config(digest) => Stage::Config(digest),
        };
        self.begin_stage(id, next);
    }

    /// The digest alone was asked for: what is known of it is the answer, else the manifest is asked for.
    fn on_head(&mut self, id: JobId, key: &FactsKey, claimed: Option<ManifestDigest>) {
        let Some(digest) = claimed else {
            self.repository_mut(key.table.repository).is_head_in_vain = true;
            self.begin_stage(id, Stage::Tag);
            return;
        };
        if let Some(facts) = self.facts.known(key, digest) {
            self.finish_facts(id, key, Ok(facts));
        } else if !self.is_following(id, key, digest) {
            self.begin_stage(id, Stage::Tag);
        }
    }

    /// True when another lookup reads the same content already: its documents are fetched once.
    fn is_following(&mut self, id: JobId, key: &FactsKey, digest: ManifestDigest) -> bool {
        let is_following = self.facts.can_follow(key, digest, id);
        if is_following {
            self.job_mut(id).phase = Phase::Following;
        }
        is_following
    }

    fn begin_stage(&mut self, id: JobId, stage: Stage) {
        let job = self.job_mut(id);
        if let Task::Facts(task) = &mut job.task {
            task.stage = stage;
        }
        job.begin_exchange();
        self.enqueue_begun(id);
    }

    pub(super) fn finish_facts(
        &mut self,
        id: JobId,
        key: &FactsKey,
        result: Result<TagFacts, LookupFailure>,
    ) {
        let is_unusable = match &result {
            Ok(TagFacts::Unusable { .. }) => true,
            Ok(TagFacts::Usable { .. } | TagFacts::OtherPlatform { .. }) => false,
            Err(failure) => failure.kind == Kind::Missing,
        };
        if is_unusable {
            let endpoint = Arc::clone(&self.endpoint_of(key.table.repository).api_url);
            self.observe(RegistryOutcome::Observed(Observation::TagUnusable {
                endpoint,
            }));
        }
        let followers = self.take_followers(id, key);
        self.jobs.remove(&id);
        for follower in followers {
            if let Ok(facts) = &result
                && let Some(job) = self.jobs.get(&follower)
                && let Task::Facts(task) = &job.task
            {
                let own = task.key.clone();
                self.finish_facts(follower, &own, Ok(facts.clone()));
            }
        }
        let Some(waiters) = self.facts.finish(key, &result, self.now.mono) else {
            return;
        };
        self.outcomes.push_back(RegistryOutcome::FactsFinished {
            repository: key.table.repository,
            tag: key.tag.clone(),
            kind: key.table.kind,
            result,
            waiters,
        });
    }

    /// Who waits for what a lookup finds in the content that it reads.
    pub(super) fn take_followers(&mut self, id: JobId, key: &FactsKey) -> Vec<JobId> {
        let leads = match self.jobs.get(&id).map(|job| &job.task) {
            Some(Task::Facts(task)) => task.leads,
            Some(Task::Listing(_) | Task::Token(_)) | None => None,
        };
        leads.map_or_else(Vec::new, |digest| self.facts.end_walk(key, digest, id))
    }

    fn on_moved(&mut self, id: JobId, place: &str) {
        let job = &self.jobs[&id];
        let is_refresh = matches!(&job.task, Task::Token(task) if task.is_refresh);
        let n_hops = job.hop.as_ref().map_or(0, |hop| hop.n_hops) + 1;
        let base = self.asked_url(id);
        // What is asked for by digest is verified, and another origin is shown no login: stores without TLS
        // may serve it.
        let is_verified = matches!(&job.task, Task::Facts(task)
            if matches!(task.stage, Stage::Manifest(_) | Stage::Config(_)));
        let next = url::resolve(&base, place).filter(|next| {
            let is_downgrade = url::split(&base).is_some_and(|base| base.is_https)
                && url::split(next).is_some_and(|next| !next.is_https);
            is_verified || !is_downgrade
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
            _ if job.pinged_for.is_some() => url::join_api(api_url, "/v2/"),
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

    pub(super) fn on_refused(&mut self, id: JobId, refusal: &Refusal) {
        let mut refusal = refusal.clone();
        match &mut self.job_mut(id).task {
            Task::Facts(task)
                if refusal.kind == Kind::Missing
                    && matches!(task.stage, Stage::Manifest(_) | Stage::Config(_)) =>
            {
                // The tag is there, and says that this is: it may be on its way (D-02).
                refusal.kind = Kind::Malformed;
                let detail = format!("a content that it names is missing: {}", refusal.detail);
                refusal.detail = detail.into();
            }
            Task::Facts(task) if matches!(task.stage, Stage::Head) => {
                // Some servers know no HEAD, and say so in many ways; what they say to a GET is what counts.
                match refusal.kind {
                    Kind::Malformed | Kind::Missing => {
                        self.begin_stage(id, Stage::Tag);
                        return;
                    }
                    Kind::Transient | Kind::Unreachable => task.stage = Stage::Tag,
                    Kind::Throttled
                    | Kind::Denied
                    | Kind::RepositoryMissing
                    | Kind::Credential
                    | Kind::Overflow
                    | Kind::Stalled
                    | Kind::CircuitOpen => {}
                }
            }
            Task::Token(task) if task.is_refresh && !refusal.is_retryable => {
                let token = task.token;
                if self.drop_refresh_token(token) {
                    // A refresh token that the server once volunteered no longer holds.
                    self.enqueue_begun(id);
                    return;
                }
            }
            Task::Listing(task) if task.is_large && refusal.kind == Kind::Malformed => {
                // It knows no `n`, or sends more at once than we take.
                self.is_begun_in_own_pages(id);
                return;
            }
            Task::Listing(_) | Task::Facts(_) | Task::Token(_) => {}
        }
        if refusal.kind == Kind::Denied {
            self.fail_or_ping(id, refusal, &[]);
        } else {
            self.retry(id, &refusal);
        }
    }

    /// What was read of a tag was none of its content: the next attempt reads it from the beginning.
    fn begin_inspection_anew(&mut self, id: JobId) {
        let key = match &self.jobs[&id].task {
            Task::Facts(task) => task.key.clone(),
            Task::Listing(_) | Task::Token(_) => return,
        };
        for follower in self.take_followers(id, &key) {
            if self.jobs.contains_key(&follower) {
                self.begin_stage(follower, Stage::Tag);
            }
        }
        if let Task::Facts(task) = &mut self.job_mut(id).task {
            task.inspection = Inspection::new(key.table.kind, key.table.platforms.clone());
            task.leads = None;
        }
    }
}

/// True when a registry says that it has no repository of that name, and not only no such tag.
fn is_repository_unknown(body: &[u8]) -> bool {
    errors_of(body).is_some_and(|errors| errors.iter().any(|error| error["code"] == "NAME_UNKNOWN"))
}
