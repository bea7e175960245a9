//! A lookup under way: a listing, the facts of a tag, or a token. It is a sequence of exchanges, each
//! with its own attempts.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use super::breaker::Verdict;
use super::budget::account::AccountId;
use super::digest::ManifestDigest;
use super::endpoint::EndpointId;
use super::facts::FactsKey;
use super::inspection::Inspection;
use super::listing::ListingBuilder;
use super::login::Login;
use super::reply::Refusal;
use super::repository::RepositoryId;
use super::tokens::TokenId;
use crate::http::ShownUrl;
use crate::id::OpId;
use crate::time::Time;

/// Names a lookup within one core; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct JobId(pub(super) u64);

/// One lookup.
#[derive(Debug)]
pub(super) struct Job {
    /// Of a token: one of the repositories that use it.
    pub(super) repository: RepositoryId,
    pub(super) task: Task,
    pub(super) phase: Phase,
    /// Failed attempts of the present exchange (of the whole listing).
    pub(super) n_failed: u32,
    /// When the present attempt ends, once its first request was sent.
    pub(super) attempt_deadline: Option<Time>,
    /// The login to use.
    pub(super) login: JobLogin,
    /// How often the present exchange was challenged.
    pub(super) n_challenged: u8,
    /// What the last request carried.
    pub(super) shown: Shown,
    /// A token was fetched since the present exchange began.
    pub(super) has_fresh_token: bool,
    /// Where a redirect leads, and how many there were.
    pub(super) hop: Option<Hop>,
    /// Why the lookup failed, while it is asked whether there is a registry at all, and for whom.
    pub(super) pinged_for: Option<Box<Refusal>>,
    /// What the last answer said about the login.
    pub(super) verdict: Verdict,
    /// Its credential was read anew because of a refusal: that happens once.
    pub(super) has_reconsidered: bool,
    /// The refusal that holds if the credential that was read anew is the same.
    pub(super) refused: Option<Box<Refused>>,
}

/// A lookup was refused with a login.
#[derive(Debug)]
pub(super) struct Refused {
    /// Fingerprint of the login.
    pub(super) login: u64,
    pub(super) refusal: Refusal,
    /// The registry refused the repository, and not the login.
    pub(super) is_of_repository: bool,
}

/// What a lookup is for, with its progress.
#[derive(Debug)]
pub(super) enum Task {
    /// Reads a tag list page by page.
    Listing(Box<ListingTask>),
    /// Reads what is to be known about a tag.
    Facts(Box<FactsTask>),
    /// Fetches a token.
    Token(Box<TokenTask>),
}

pub(super) struct ListingTask {
    /// The list may be asked for on the condition that it changed.
    pub(super) is_conditional: bool,
    /// The last request was.
    pub(super) has_condition: bool,
    /// It is asked for in larger pages than the registry's own.
    pub(super) is_large: bool,
    /// The page to read next.
    pub(super) url: String,
    /// Fingerprints of the pages asked for: each is read once.
    pub(super) seen: BTreeSet<u64>,
    pub(super) builder: ListingBuilder,
}

/// What leads to a page may be signed, and is shown without its query.
impl fmt::Debug for ListingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            is_conditional,
            has_condition,
            is_large,
            url,
            seen,
            builder,
        } = self;
        f.debug_struct("ListingTask")
            .field("is_conditional", is_conditional)
            .field("has_condition", has_condition)
            .field("is_large", is_large)
            .field("url", &ShownUrl(url))
            .field("n_seen", &seen.len())
            .field("builder", builder)
            .finish()
    }
}

#[derive(Debug)]
pub(super) struct FactsTask {
    pub(super) key: FactsKey,
    pub(super) stage: Stage,
    pub(super) inspection: Inspection,
    /// The digest of the content that it reads on behalf of others too.
    pub(super) leads: Option<ManifestDigest>,
}

/// What is asked for next about a tag.
#[derive(Debug)]
pub(super) enum Stage {
    /// The digest alone.
    Head,
    /// The manifest by tag.
    Tag,
    /// A manifest by digest.
    Manifest(String),
    /// A config blob.
    Config(String),
}

pub(super) struct TokenTask {
    pub(super) token: TokenId,
    pub(super) realm: Box<str>,
    pub(super) service: Box<str>,
    /// Where it is asked for.
    pub(super) lane: EndpointId,
    /// Whose limits hold there.
    pub(super) account: AccountId,
    /// When it is given up, sleeps included (D-18); set with the first request.
    pub(super) deadline: Option<Time>,
    /// The request carries a refresh token.
    pub(super) is_refresh: bool,
}

/// Realm and service came from a challenge, and may repeat what the server was shown.
impl fmt::Debug for TokenTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            realm: _,
            service: _,
            token,
            lane,
            account,
            deadline,
            is_refresh,
        } = self;
        f.debug_struct("TokenTask")
            .field("token", token)
            .field("lane", lane)
            .field("account", account)
            .field("deadline", deadline)
            .field("is_refresh", is_refresh)
            .finish()
    }
}

/// What a lookup waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// A slot: it stands in its endpoint's queue.
    Queued,
    /// The answer to a request.
    InFlight(OpId),
    /// A credential.
    AwaitingCredential,
    /// A token.
    AwaitingToken,
    /// What another lookup finds in the same content.
    Following,
    /// Another request with the same login, or room for one more (see `breaker`).
    AwaitingLogin,
    /// The end of a sleep.
    Backoff,
}

/// Who a lookup is towards its registry.
#[derive(Debug)]
pub(super) enum JobLogin {
    /// Not asked for yet.
    Unresolved,
    /// Nobody.
    Anonymous,
    /// This one, until the lookup ends.
    Known(Arc<Login>),
}

impl JobLogin {
    pub(super) fn as_login(&self) -> Option<&Arc<Login>> {
        match self {
            Self::Unresolved | Self::Anonymous => None,
            Self::Known(login) => Some(login),
        }
    }
}

impl From<Option<Arc<Login>>> for JobLogin {
    fn from(login: Option<Arc<Login>>) -> Self {
        login.map_or(Self::Anonymous, Self::Known)
    }
}

/// What a request carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// No authorization.
    Nothing,
    /// User and password.
    Basic,
    /// A token that was there before, by the lookup that fetched it.
    KeptToken(JobId),
    /// A token fetched for this exchange.
    FreshToken,
}

pub(super) struct Hop {
    pub(super) url: String,
    pub(super) n_hops: u8,
}

/// Redirects are often signed.
impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, n_hops } = self;
        write!(f, "Hop {n_hops} to {}", ShownUrl(url))
    }
}

impl Job {
    pub(super) fn new(repository: RepositoryId, task: Task) -> Self {
        Self {
            repository,
            task,
            phase: Phase::Queued,
            n_failed: 0,
            attempt_deadline: None,
            login: JobLogin::Unresolved,
            n_challenged: 0,
            shown: Shown::Nothing,
            has_fresh_token: false,
            hop: None,
            pinged_for: None,
            verdict: Verdict::Unknown,
            has_reconsidered: false,
            refused: None,
        }
    }

    /// Makes ready for the next exchange of the same lookup.
    pub(super) fn begin_exchange(&mut self) {
        self.n_challenged = 0;
        self.has_fresh_token = false;
        self.hop = None;
        if !matches!(self.task, Task::Listing(_)) {
            self.n_failed = 0;
            self.attempt_deadline = None;
        }
    }
}
