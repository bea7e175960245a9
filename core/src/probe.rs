//! One image, looked up once, without any Application: which tag would it move to, and what became of every other
//! one (`ops.md` 9)?
//!
//! A small machine with the verbs of [`crate::Updater`], over the same rooms: what it answers is what a run would
//! decide. It ends by itself: every look-up does.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::app::{HelmOptions, ImageOptions};
use crate::credential::CredentialReference;
use crate::effect::Effect;
use crate::id::OpIds;
use crate::image::{
    IgnorePatterns, Image, ImageDefect, MatchExpression, PlatformSet, Strategy, Tag,
};
use crate::input::Input;
use crate::keyed::Seed;
use crate::lookup::{LookupState, candidates, facts_kind, found, platforms_of, sort_of};
use crate::registry::{
    Endpoint, FactsAnswer, ListingAnswer, LookupFailure, LookupFailureKind, Registry,
    RegistryOutcome, RegistrySettings, RepositoryId, WaiterId,
};
use crate::time::{Now, Time};
use crate::update::{ImagePlan, Need, Reason, TagReport, answer, verdicts};

/// The probe is the only one who waits.
const SELF: WaiterId = WaiterId(0);

/// What is asked about an image.
#[derive(Clone, Debug)]
pub struct Question {
    /// The image, its tag being what runs.
    pub image: String,
    /// A version range, or the tag to follow; under `digest` the image's own tag stands in for an empty one.
    pub constraint: String,
    /// How a tag is chosen.
    pub strategy: Strategy,
    /// Which tags may be chosen.
    pub allow_tags: MatchExpression,
    /// Which tags may not be chosen.
    pub ignore_tags: IgnorePatterns,
    /// The wanted platforms.
    pub platforms: PlatformSet,
    /// In place of the registry's own credentials.
    pub credentials: Option<CredentialReference>,
}

/// The look-up of one image.
#[derive(Debug)]
pub struct Probe {
    registry: Registry,
    ids: OpIds,
    now: Now,
    image: ImagePlan,
    repository: Option<RepositoryId>,
    state: LookupState,
    reason: Option<Reason>,
    events: VecDeque<RegistryOutcome>,
}

impl Probe {
    /// Begins to look an image up. Of `settings`, the registries and their limits matter; the interval does not.
    ///
    /// # Errors
    /// When the text names no image.
    pub fn new(
        question: Question,
        settings: RegistrySettings,
        seed: Seed,
        now: Now,
    ) -> Result<Self, ImageDefect> {
        let running = Image::parse(&question.image);
        if let Some(defect) = running.defect() {
            return Err(defect);
        }
        let image = plan(question, running);
        let once = RegistrySettings {
            once: true,
            ..settings
        };
        let mut probe = Self {
            registry: Registry::new(once, seed),
            ids: OpIds::default(),
            now,
            repository: None,
            state: LookupState::NotNeeded,
            reason: None,
            events: VecDeque::new(),
            image,
        };
        probe.begin();
        probe.advance();
        Ok(probe)
    }

    /// Takes the answer to an effect, and does what has fallen due meanwhile. Others than those of
    /// registries are none of its business.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Http(op, outcome) => {
                self.registry.handle_http(now, op, outcome);
            }
            Input::Credential(op, outcome) => {
                self.registry.handle_credential(now, op, outcome);
            }
            Input::Cluster(_) | Input::Git(..) | Input::Settings(_) | Input::Process(_) => {}
        }
        self.registry.handle_timeout(now);
        self.advance();
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.registry.handle_timeout(now);
        self.advance();
    }

    /// The next work to start.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.registry.poll_effect(&mut self.ids);
        // Taking one may end a look-up, where its credential cannot be had.
        self.advance();
        effect
    }

    /// The next thing worth telling about the registry.
    pub fn poll_event(&mut self) -> Option<RegistryOutcome> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called. Every other method may change it.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.registry.next_wakeup()
    }

    /// What became of the image: an update, up to date, or why neither. `None` while it is looked up.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The plan: the entry with its constraint, what runs, the options.
    pub fn image(&self) -> &ImagePlan {
        &self.image
    }

    /// The registry that serves the image, with the repository's name there; `None` when there is none.
    pub fn place(&self) -> Option<(&Endpoint, &str)> {
        let id = self.repository?;
        Some((self.registry.endpoint_of(id), self.registry.name_of(id)))
    }

    /// Shows every tag with what became of it, in registry order; none before there is an answer.
    pub fn for_each_tag(&self, mut show: impl FnMut(TagReport<'_>)) {
        let Some(reason) = &self.reason else { return };
        if let Some(tags) = found(&self.registry, &self.image, &self.state).as_listing() {
            // Under `digest` the chosen one is told by its digest.
            let chosen = match self.image.options.strategy {
                Strategy::Digest => reason.chosen().map(|_| self.image.constraint()),
                Strategy::Semver | Strategy::NewestBuild | Strategy::Alphabetical => {
                    reason.chosen()
                }
            };
            verdicts(&self.image, tags, chosen).for_each(&mut show);
        }
    }

    fn begin(&mut self) {
        if self.image.obstacle.is_some() {
            return;
        }
        let (host, name) = (&self.image.entry.registry, &self.image.entry.name);
        let credentials = self.image.pull_secret();
        match self.registry.repository(host, name, credentials) {
            Ok(id) => {
                self.registry.retain(id);
                self.repository = Some(id);
                self.state = self.want_listing(id);
            }
            Err(error) => {
                self.state = LookupState::Failed(LookupFailure {
                    kind: LookupFailureKind::Unreachable,
                    detail: error.to_string().into_boxed_str(),
                });
            }
        }
        if let LookupState::Ready { .. } = self.state {
            self.want_facts();
        }
    }

    fn want_listing(&mut self, id: RepositoryId) -> LookupState {
        match self.image.need(sort_of(&self.registry, id)) {
            None => LookupState::NotNeeded,
            Some(Need::Digest(_)) => LookupState::ready(id),
            Some(Need::Tags | Need::Created) => {
                match self.registry.want_listing(self.now, id, SELF) {
                    ListingAnswer::Kept(_) => LookupState::ready(id),
                    ListingAnswer::Waiting => LookupState::Listing(id),
                    ListingAnswer::Failed(failure) => LookupState::Failed(failure.clone()),
                }
            }
        }
    }

    /// Asks for the dates or digests of all candidates.
    fn want_facts(&mut self) {
        let LookupState::Ready {
            repository,
            pending,
            failed,
        } = &mut self.state
        else {
            return;
        };
        let Some(kind) = facts_kind(&self.image, sort_of(&self.registry, *repository)) else {
            return;
        };
        let platforms = platforms_of(&self.image);
        let wanted: Vec<Box<str>> = candidates(&self.registry, &self.image, *repository)
            .map(Box::from)
            .collect();
        for tag in wanted {
            let answer =
                self.registry
                    .want_facts(self.now, *repository, &tag, kind, &platforms, SELF);
            match answer {
                FactsAnswer::Known(_) => {}
                FactsAnswer::Waiting => {
                    pending.insert(tag);
                }
                FactsAnswer::Failed(failure) => {
                    failed.insert(tag, failure.clone());
                }
            }
        }
    }

    /// Takes in what the registry room has found, and answers when all is there.
    fn advance(&mut self) {
        while let Some(outcome) = self.registry.poll_outcome() {
            match outcome {
                RegistryOutcome::ListingFinished {
                    repository, result, ..
                } => match result {
                    Ok(()) => {
                        self.state = LookupState::ready(repository);
                        self.want_facts();
                    }
                    Err(failure) => self.state = LookupState::Failed(failure),
                },
                RegistryOutcome::FactsFinished { tag, result, .. } => {
                    if let LookupState::Ready {
                        pending, failed, ..
                    } = &mut self.state
                        && let Some(tag) = pending.take(&tag)
                        && let Err(failure) = result
                    {
                        failed.insert(tag, failure);
                    }
                }
                RegistryOutcome::CredentialFailed { .. }
                | RegistryOutcome::RequestSent { .. }
                | RegistryOutcome::RequestFinished { .. }
                | RegistryOutcome::Retried { .. }
                | RegistryOutcome::Observed(_)
                | RegistryOutcome::RetryRefused { .. }
                | RegistryOutcome::PaceChanged { .. }
                | RegistryOutcome::SlotsChanged { .. }
                | RegistryOutcome::QuotaCounted { .. }
                | RegistryOutcome::QuotaLow { .. }
                | RegistryOutcome::PortsExhausted { .. }
                | RegistryOutcome::PortsRecovered
                | RegistryOutcome::Throttled { .. }
                | RegistryOutcome::Stalled { .. }
                | RegistryOutcome::Reopened { .. }
                | RegistryOutcome::CircuitChanged { .. } => self.events.push_back(outcome),
            }
        }
        let is_complete = match &self.state {
            LookupState::Listing(_) => false,
            LookupState::Ready { pending, .. } => pending.is_empty(),
            LookupState::NotNeeded | LookupState::Failed(_) => true,
        };
        if is_complete && self.reason.is_none() {
            let found = found(&self.registry, &self.image, &self.state);
            self.reason = Some(answer(&self.image, &found.to_lookup()));
        }
    }
}

fn plan(question: Question, running: Image) -> ImagePlan {
    let Question {
        image: _,
        constraint,
        strategy,
        allow_tags,
        ignore_tags,
        platforms,
        credentials,
    } = question;
    let constraint = if constraint.is_empty() && strategy == Strategy::Digest {
        running.tag_name().to_string()
    } else {
        constraint
    };
    let entry = Image {
        tag: Some(Tag::named(constraint)).filter(|tag| !tag.name.is_empty()),
        ..running.clone()
    };
    let options = ImageOptions {
        strategy,
        allow_tags,
        ignore_tags: Some(ignore_tags),
        pull_secret: credentials,
        force_update: false,
        platforms,
        helm: HelmOptions::default(),
        kustomize_image_name: None,
        remarks: Vec::new(),
    };
    ImagePlan::of(entry, options, &[running])
}
