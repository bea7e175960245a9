//! One registry: its settings, and what is shared by all of its requests.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::fmt;

use super::budget::RateBudget;
use super::budget::account::AccountId;
use super::budget::line::Line;
use super::budget::pace::Pace;
use super::budget::retries::RetryBudget;
use super::budget::slots::Slots;
use super::challenge::Challenge;
use super::ping::PingState;
use super::settings::EndpointSettings;
use super::url;
use crate::http::PoolKey;
use crate::image::TagListSort;
use crate::time::Time;

/// Names an endpoint within one core; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointId(pub(super) u32);

/// Where an endpoint comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointOrigin {
    /// Docker Hub as it is known without configuration.
    BuiltIn,
    /// An entry of the configuration.
    Configured,
    /// Inferred from the host of an image; lives while a repository of it does.
    Inferred,
    /// A server that issues tokens for others; lives while a token of it does (D-20).
    TokenHost,
}

/// One registry.
#[derive(Debug)]
pub struct Endpoint {
    settings: EndpointSettings,
    origin: EndpointOrigin,
    /// A reload has taken it from the table: nothing is sent there any more, and it is forgotten when
    /// nothing refers to it.
    pub(super) is_retired: bool,
    /// How often a reload changed whom it trusts: what was learnt before is not used after.
    pub(super) epoch: u32,
    /// The API URL, shared with observations and pool keys.
    pub(super) api_url: Arc<str>,
    pub(super) pool: Arc<PoolKey>,
    /// Scheme, host and port: where logins to it are counted.
    pub(super) place: Arc<str>,
    /// Bearer or Basic, as the last 401 said.
    pub(super) challenge: Option<Arc<Challenge>>,
    /// Whether it is a registry.
    pub(super) ping: PingState,
    pub(super) budget: RateBudget,
    /// What was said to requests that showed nothing holds for everybody.
    pub(super) pace: Pace,
    pub(super) retries: RetryBudget,
    /// Requests handed out and not completed.
    pub(super) slots: Slots,
    /// Of these, how many never ended although cancelled.
    pub(super) n_stalled: u32,
    pub(super) n_repositories: u32,
    /// Tokens that are asked for through it.
    pub(super) n_tokens: u32,
    /// Who waits to be sent.
    pub(super) line: Line,
}

impl Endpoint {
    /// An endpoint of which nothing is known beside its settings, which are [plain](EndpointSettings::into_plain).
    pub(super) fn new(
        settings: EndpointSettings,
        origin: EndpointOrigin,
        in_flight_max: u32,
    ) -> Self {
        Self {
            is_retired: false,
            epoch: 0,
            api_url: settings.api_url.as_str().into(),
            pool: Arc::new(settings.to_pool_key()),
            place: url::origin(&settings.api_url)
                .unwrap_or_else(|| settings.api_url.clone())
                .into(),
            challenge: None,
            ping: PingState::Unasked,
            budget: RateBudget::new(settings.rate_max),
            pace: Pace::new(settings.rate_max),
            retries: RetryBudget::new(),
            slots: Slots::new(in_flight_max),
            n_stalled: 0,
            n_repositories: 0,
            n_tokens: 0,
            line: Line::new(settings.rate_max),
            settings,
            origin,
        }
    }

    /// Takes new settings with the same prefix and API URL: budget, slots and throttle window stay, because
    /// they are the server's. What the change means for lookups is returned.
    pub(super) fn adapt(&mut self, settings: EndpointSettings, origin: EndpointOrigin) -> Adaption {
        let old = core::mem::replace(&mut self.settings, settings);
        self.origin = origin;
        let new = &self.settings;
        let mut adaption = Adaption {
            is_any: old != *new,
            is_served_otherwise: old.credentials != new.credentials
                || old.default_namespace != new.default_namespace,
            is_resorted: old.tag_sort_mode != new.tag_sort_mode,
        };
        if old.rate_max != new.rate_max {
            self.budget.adapt(new.rate_max);
            self.pace.adapt(new.rate_max);
            self.line.adapt(new.rate_max);
        }
        let pool = new.to_pool_key();
        if pool != *self.pool {
            self.pool = Arc::new(pool);
            self.challenge = None;
            self.epoch += 1;
            adaption.is_served_otherwise = true;
        }
        adaption
    }

    /// Its settings, the API URL without trailing slash.
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Where it comes from.
    pub fn origin(&self) -> EndpointOrigin {
        self.origin
    }

    /// What the order of its tag lists says.
    pub fn tag_sort_mode(&self) -> TagListSort {
        self.settings.tag_sort_mode
    }

    /// The repository's name on the wire: with the default namespace, and of the right grammar
    /// (`registry.md` 3.5).
    ///
    /// # Errors
    /// [`EndpointError::InvalidRepository`].
    pub fn repository_name(&self, image_name: &str) -> Result<Box<str>, EndpointError> {
        let name: Box<str> = match &self.settings.default_namespace {
            Some(namespace) if !namespace.is_empty() && !image_name.contains('/') => {
                format!("{namespace}/{image_name}").into()
            }
            _ => image_name.into(),
        };
        if is_repository(&name) {
            Ok(name)
        } else {
            Err(EndpointError::InvalidRepository(name))
        }
    }

    /// True when nothing may be sent before some request has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.n_stalled > 0
    }

    /// Takes over what its server asked for by another entry with the same API URL.
    pub(super) fn inherit(&mut self, known: &Self) {
        let rate_max = self.settings.rate_max;
        self.pace.inherit(&known.pace, rate_max);
        self.line.inherit(&known.line);
    }

    /// The end of the throttle window of an account, its own or everybody's, if `now` lies in one.
    pub(super) fn throttle_end(&self, now: Time, account: AccountId) -> Option<Time> {
        let own = self.line.account(account);
        let own = own.and_then(|account| account.pace.window_end(now));
        own.max(self.pace.window_end(now))
    }

    /// When the next request may be sent, whoever it is for.
    pub(super) fn permit_at(&self, now: Time) -> Time {
        self.budget.permit_at(now).max(self.pace.next_at(now))
    }
}

/// What new settings of an endpoint change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Adaption {
    /// Anything.
    pub(super) is_any: bool,
    /// Which repositories its images have: what was learnt about the old ones is not used for the new.
    pub(super) is_served_otherwise: bool,
    /// What the order of its tag lists says.
    pub(super) is_resorted: bool,
}

/// Why no repository can be had for an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointError {
    /// The image names no registry and there is no default.
    NoDefault,
    /// The host cannot be part of a URL.
    InvalidHost(Box<str>),
    /// The repository's name breaks the grammar.
    InvalidRepository(Box<str>),
    /// More hosts are named by images than may be inferred.
    TooManyHosts(usize),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefault => f.write_str("no default endpoint configured"),
            Self::InvalidHost(host) => write!(f, "'{host}' is no registry host"),
            Self::InvalidRepository(name) => {
                write!(
                    f,
                    "invalid reference format: '{name}' is no repository name"
                )
            }
            Self::TooManyHosts(max) => write!(
                f,
                "images name more than {max} registries that are not configured"
            ),
        }
    }
}

impl core::error::Error for EndpointError {}

/// True for a repository name: lower-case components of letters and digits, joined by one `.`, one or
/// two `_`, or dashes; at most 255 characters.
pub(crate) fn is_repository(name: &str) -> bool {
    name.len() <= 255 && !name.is_empty() && name.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let run = bytes[at..].iter().take_while(|next| **next == byte).count();
        let is_inside = at > 0 && at + run < bytes.len();
        let is_fine = match byte {
            _ if is_plain(byte) => true,
            b'.' => is_inside && run == 1,
            b'_' => is_inside && run <= 2,
            b'-' => is_inside,
            _ => false,
        };
        // Two different joints may not meet.
        let is_followed = is_plain(byte) || bytes.get(at + run).is_some_and(|next| is_plain(*next));
        if !is_fine || !is_followed {
            return false;
        }
        at += run;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_have_a_grammar() {
        for good in ["a", "library/nginx", "a.b/c_d/e__f/g--h", "0/1"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "", "A", "a/", "/a", "a//b", "a..b", "a___b", "a.-b", "-a", "a-", "a b", "a%2e",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
        assert!(!is_repository(&"a".repeat(256)));
    }
}
