//! What a registry room tells for counting alone: nobody decides by it (`registry.md` 11.2).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use super::Registry;
use super::job::{JobId, Stage, Task};
use super::outcome::RegistryOutcome;
use super::token::read_scope;
use super::url;
use crate::credential::CredentialSource;

/// A fact for counting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    /// An attempt was given up, because its answer was overdue by the core's own deadline (A7).
    Overdue {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// A request of it was under way; otherwise it still stood in line.
        was_sent: bool,
    },
    /// A registry or its token server says that we may not, or there is nothing to answer its
    /// challenge with (`registry.md` 5.7, D-50).
    Denied {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
    },
    /// A tag was read and takes no part: it is missing, or broken for good (D-02).
    TagUnusable {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
    },
    /// A token was issued.
    TokenIssued {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// What for.
        subject: Arc<TokenSubject>,
        /// The life that the server announced, before the floor of 60 s; `None` when it announced none.
        lifetime: Option<Duration>,
    },
    /// A token server's successful answer holds no token.
    TokenUnreadable {
        /// API URL of the endpoint.
        endpoint: Arc<str>,
        /// What for.
        subject: Arc<TokenSubject>,
    },
    /// A Secret of the cluster was read, or could not be.
    SecretRead {
        /// It could not be.
        is_error: bool,
    },
    /// No endpoint has this API URL any more (A11, D-47).
    EndpointForgotten {
        /// The API URL.
        endpoint: Arc<str>,
    },
    /// A repository is not used with one of its credentials any more (A11, D-47).
    RepositoryForgotten {
        /// API URL of its endpoint.
        endpoint: Arc<str>,
        /// Its name on the wire.
        name: Box<str>,
    },
}

/// What a token is asked for: the labels of the token series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSubject {
    /// The service of the challenge; may be empty.
    pub service: Box<str>,
    /// The scope, for example `repository:library/nginx:pull`.
    pub scope: Box<str>,
}

/// What a request is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// A token.
    Auth(Arc<TokenSubject>),
    /// A page of a tag list.
    Tags,
    /// A manifest, by tag or by digest.
    Manifest,
    /// A config blob.
    Blob,
}

impl RequestKind {
    /// The word in logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Auth(_) => "auth",
            Self::Tags => "tags",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        }
    }
}

/// What is looked up once for all who ask at the same time (`registry.md` 6.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SharedKind {
    /// A token.
    Auth,
    /// A credential.
    Credential,
    /// What is to be known about a tag.
    Manifest,
    /// A tag list.
    Tags,
}

impl SharedKind {
    /// All kinds, in the order of their words.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Credential, Self::Manifest, Self::Tags];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Credential => "credential",
            Self::Manifest => "manifest",
            Self::Tags => "tags",
        }
    }
}

/// How often lookups were shared, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedLookups {
    leaders: [u64; SharedKind::ALL.len()],
    followers: [u64; SharedKind::ALL.len()],
}

impl SharedLookups {
    /// Lookups that did the work.
    pub const fn leaders(&self, kind: SharedKind) -> u64 {
        self.leaders[kind as usize]
    }

    /// Calls that were served by somebody else's lookup.
    pub const fn followers(&self, kind: SharedKind) -> u64 {
        self.followers[kind as usize]
    }

    pub(super) const fn on_leader(&mut self, kind: SharedKind) {
        self.leaders[kind as usize] += 1;
    }

    pub(super) const fn on_follower(&mut self, kind: SharedKind) {
        self.followers[kind as usize] += 1;
    }
}

/// Shows nothing: these are counts, and the state that decides is compared by how it is shown.
impl fmt::Debug for SharedLookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedLookups")
    }
}

impl Registry {
    /// How often lookups were shared, since the start.
    pub const fn shared_lookups(&self) -> &SharedLookups {
        &self.shared
    }

    /// True when some endpoint has this API URL.
    pub fn has_api_url(&self, api_url: &str) -> bool {
        self.endpoints
            .iter()
            .any(|(_, endpoint)| &*endpoint.api_url == api_url)
    }

    /// True when a repository of this name on the wire is used at an endpoint with this API URL.
    pub fn has_repository(&self, api_url: &str, name: &str) -> bool {
        self.repositories.values().any(|repository| {
            &*repository.key.name == name
                && &*self.endpoints[repository.key.endpoint].api_url == api_url
        })
    }

    /// What the next request of a lookup is for.
    pub(super) fn request_kind(&self, id: JobId) -> RequestKind {
        let job = &self.jobs[&id];
        match &job.task {
            Task::Listing(_) => RequestKind::Tags,
            Task::Facts(task) => match task.stage {
                Stage::Head | Stage::Tag | Stage::Manifest(_) => RequestKind::Manifest,
                Stage::Config(_) => RequestKind::Blob,
            },
            Task::Token(task) => {
                let authority = url::split(&task.realm).map_or("", |parts| parts.authority);
                let name = &self.repositories[&job.repository].key.name;
                RequestKind::Auth(Arc::new(TokenSubject {
                    // It came from a challenge, and may repeat anything.
                    service: self.without_echo(id, &task.service).into(),
                    scope: read_scope(authority, name).into(),
                }))
            }
        }
    }

    /// The API URL of the registry that a lookup is for, also when its token comes from elsewhere.
    pub(super) fn told_as(&self, id: JobId) -> Arc<str> {
        Arc::clone(&self.endpoint_of(self.jobs[&id].repository).api_url)
    }

    /// Tells something about the registry that the lookup is for.
    pub(super) fn observe_at(&mut self, id: JobId, make: impl FnOnce(Arc<str>) -> Observation) {
        let api_url = self.told_as(id);
        self.observe(RegistryOutcome::Observed(make(api_url)));
    }

    /// Tells something about the token that the lookup fetches.
    pub(super) fn observe_token(
        &mut self,
        id: JobId,
        make: impl FnOnce(Arc<str>, Arc<TokenSubject>) -> Observation,
    ) {
        if let RequestKind::Auth(subject) = self.request_kind(id) {
            self.observe_at(id, |endpoint| make(endpoint, subject));
        }
    }

    /// Tells that a credential was read, if that was a call of the Kubernetes API.
    pub(super) fn observe_read(&mut self, source: &CredentialSource, is_error: bool) {
        match source {
            CredentialSource::Secret { .. } | CredentialSource::PullSecret { .. } => {
                self.observe(RegistryOutcome::Observed(Observation::SecretRead {
                    is_error,
                }));
            }
            CredentialSource::Env(_) | CredentialSource::Ext(_) => {}
        }
    }
}
