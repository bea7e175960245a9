//! Bearer tokens that are kept: one per (realm, service, scope, login), shared by every repository and
//! endpoint that would ask for the same (`registry.md` D-03, D-17).
//!
//! Invariants: a token is fetched at most once at a time; it lives while a repository uses it; what was
//! issued to one login, or learned over a connection that was trusted otherwise, is never another's.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::breaker::CircuitKey;
use super::budget::account::AccountId;
use super::endpoint::EndpointId;
use super::job::JobId;
use super::login::Login;
use super::repository::RepositoryId;
use crate::bytes;
use crate::http::TrustAnchors;
use crate::secret::Secret;
use crate::time::Time;

/// Names a token within one core; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TokenId(u64);

/// Who issues, and to whom: what a refresh token is remembered for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IssuerKey {
    pub(super) realm: Box<str>,
    pub(super) service: Box<str>,
    /// Of the login that asks; 0 for nobody.
    pub(super) login: u64,
    pub(super) is_insecure: bool,
    pub(super) trust: TrustAnchors,
}

/// Realm and service came from a challenge, and may repeat what the server was shown.
impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            realm: _,
            service: _,
            login,
            is_insecure,
            trust,
        } = self;
        f.debug_struct("IssuerKey")
            .field("login", login)
            .field("is_insecure", is_insecure)
            .field("trust", trust)
            .finish()
    }
}

/// What makes two tokens one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TokenKey {
    pub(super) issuer: IssuerKey,
    pub(super) scope: Box<str>,
}

/// A token in use.
#[derive(Debug)]
pub(super) struct TokenEntry {
    pub(super) key: TokenKey,
    /// Where requests for it go through: slots, rate, throttle window.
    pub(super) lane: EndpointId,
    /// Whose limits hold there.
    pub(super) account: AccountId,
    pub(super) circuit: CircuitKey,
    /// The login to ask with.
    pub(super) asker: Option<Arc<Login>>,
    pub(super) kept: Option<KeptToken>,
    /// The fetch under way.
    pub(super) job: Option<JobId>,
    /// Lookups that wait for it.
    pub(super) waiters: Vec<JobId>,
    pub(super) users: BTreeSet<RepositoryId>,
}

/// A token as it was issued.
#[derive(Debug)]
pub(super) struct KeptToken {
    pub(super) token: Secret,
    /// When a new one is asked for; put off when that was in vain (D-27).
    pub(super) renew_at: Time,
    /// Until when it may be shown.
    pub(super) expires_at: Time,
    pub(super) fetched_by: JobId,
}

impl TokenEntry {
    /// True when it is the token for this realm, service and login; its scope is its repository's.
    pub(super) fn is_of(&self, realm: &str, service: &str, login: u64) -> bool {
        let issuer = &self.key.issuer;
        *issuer.realm == *realm && *issuer.service == *service && issuer.login == login
    }
}

/// All tokens in use.
#[derive(Debug, Default)]
pub(super) struct TokenStore {
    entries: BTreeMap<TokenId, TokenEntry>,
    by_key: BTreeMap<TokenKey, TokenId>,
    /// Refresh tokens that servers volunteered.
    refresh: BTreeMap<IssuerKey, Secret>,
    next: u64,
}

impl TokenStore {
    pub(super) fn find_id(&self, key: &TokenKey) -> Option<TokenId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn find(&self, id: TokenId) -> Option<&TokenEntry> {
        self.entries.get(&id)
    }

    pub(super) fn find_mut(&mut self, id: TokenId) -> Option<&mut TokenEntry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn insert(&mut self, entry: TokenEntry) -> TokenId {
        let id = TokenId(self.next);
        self.next += 1;
        self.by_key.insert(entry.key.clone(), id);
        self.entries.insert(id, entry);
        id
    }

    /// Removes a token that nobody uses, and the refresh token with the last of its issuer (A11).
    pub(super) fn remove(&mut self, id: TokenId) -> Option<TokenEntry> {
        let entry = self.entries.remove(&id)?;
        self.by_key.remove(&entry.key);
        let first = TokenKey {
            issuer: entry.key.issuer.clone(),
            scope: "".into(),
        };
        let is_used = self
            .by_key
            .range(first..)
            .next()
            .is_some_and(|(key, _)| key.issuer == entry.key.issuer);
        if !is_used {
            self.refresh.remove(&entry.key.issuer);
        }
        Some(entry)
    }

    pub(super) fn refresh_token(&self, issuer: &IssuerKey) -> Option<&Secret> {
        self.refresh.get(issuer)
    }

    pub(super) fn keep_refresh_token(&mut self, issuer: &IssuerKey, token: Secret) {
        self.refresh.insert(issuer.clone(), token);
    }

    /// Forgets a refresh token that no longer holds. False when there is none.
    pub(super) fn drop_refresh_token(&mut self, issuer: &IssuerKey) -> bool {
        self.refresh.remove(issuer).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TokenEntry> {
        self.entries.values()
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        let texts: usize = self
            .iter()
            .map(|entry| {
                let issuer = &entry.key.issuer;
                2 * (issuer.realm.len() + issuer.service.len() + entry.key.scope.len())
                    + entry
                        .kept
                        .as_ref()
                        .map_or(0, |kept| kept.token.reveal().len())
                    + entry.waiters.capacity() * size_of::<JobId>()
                    + bytes::tree::<RepositoryId, ()>(entry.users.len())
            })
            .sum();
        texts
            + bytes::tree::<TokenId, TokenEntry>(self.entries.len())
            + bytes::tree::<TokenKey, TokenId>(self.by_key.len())
            + bytes::tree::<IssuerKey, Secret>(self.refresh.len())
    }
}
