//! Credentials that were read: cached per endpoint and source, read once for all who wait
//! (`registry.md` 4.5, D-31).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::endpoint::EndpointId;
use super::job::JobId;
use super::login::LoginContent;
use crate::credential::CredentialSource;
use crate::time::Time;

/// What makes two readings one.
pub(super) type CredentialKey = (EndpointId, CredentialSource);

/// All credentials in use.
#[derive(Debug, Default)]
pub(super) struct CredentialCache {
    entries: BTreeMap<CredentialKey, CredentialEntry>,
}

#[derive(Debug)]
struct CredentialEntry {
    n_repositories: u32,
    state: CredentialState,
}

#[derive(Debug)]
enum CredentialState {
    /// Never read.
    Unread,
    /// Being read; who waits for it.
    Reading(Vec<JobId>),
    /// Read.
    Known {
        content: Arc<LoginContent>,
        read: Time,
    },
    /// Could not be read or used.
    Failed { reason: Box<str>, read: Time },
}

/// What there is for a lookup that needs a credential.
#[derive(Debug)]
pub(super) enum CredentialAnswer {
    /// The content.
    Known(Arc<LoginContent>),
    /// It is being read; the lookup was noted.
    Waiting,
    /// It must be read; the lookup was noted.
    Read,
    /// It could not be had, not long ago.
    Failed(Box<str>),
}

impl CredentialCache {
    /// Counts a repository that uses the credential.
    pub(super) fn retain(&mut self, key: CredentialKey) {
        self.entries
            .entry(key)
            .or_insert(CredentialEntry {
                n_repositories: 0,
                state: CredentialState::Unread,
            })
            .n_repositories += 1;
    }

    /// Forgets the credential with its last repository (A11).
    pub(super) fn release(&mut self, key: &CredentialKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.n_repositories = entry.n_repositories.saturating_sub(1);
            if entry.n_repositories == 0 {
                self.entries.remove(key);
            }
        }
    }

    /// Asks for a credential not older than `age_max`; a failure is repeated for `retry_after`.
    pub(super) fn want(
        &mut self,
        key: &CredentialKey,
        job: JobId,
        now: Time,
        age_max: Option<Duration>,
        retry_after: Duration,
    ) -> CredentialAnswer {
        let entry = self
            .entries
            .get_mut(key)
            .expect("a repository retains its credential");
        match &mut entry.state {
            CredentialState::Reading(waiters) => {
                waiters.push(job);
                return CredentialAnswer::Waiting;
            }
            CredentialState::Known { content, read } => {
                if age_max.is_none_or(|age_max| now.since(*read) < age_max) {
                    return CredentialAnswer::Known(Arc::clone(content));
                }
            }
            CredentialState::Failed { reason, read } => {
                if now.since(*read) < retry_after {
                    return CredentialAnswer::Failed(reason.clone());
                }
            }
            CredentialState::Unread => {}
        }
        entry.state = CredentialState::Reading(alloc::vec![job]);
        CredentialAnswer::Read
    }

    /// Ends a reading and returns who waited. `None` when nobody reads it any more.
    pub(super) fn finish(
        &mut self,
        key: &CredentialKey,
        now: Time,
        result: Result<LoginContent, Box<str>>,
    ) -> Option<Vec<JobId>> {
        let entry = self.entries.get_mut(key)?;
        if !matches!(entry.state, CredentialState::Reading(_)) {
            return None;
        }
        let next = match result {
            Ok(content) => CredentialState::Known {
                content: Arc::new(content),
                read: now,
            },
            Err(reason) => CredentialState::Failed { reason, read: now },
        };
        match core::mem::replace(&mut entry.state, next) {
            CredentialState::Reading(waiters) => Some(waiters),
            CredentialState::Unread
            | CredentialState::Known { .. }
            | CredentialState::Failed { .. } => None,
        }
    }

    /// A registry refused the credential: when it was read longer than `age_min` ago, it is read anew
    /// before its next use (`registry.md` 18).
    pub(super) fn distrust(&mut self, key: &CredentialKey, now: Time, age_min: Duration) {
        if let Some(entry) = self.entries.get_mut(key)
            && let CredentialState::Known { read, .. } = &entry.state
            && now.since(*read) >= age_min
        {
            entry.state = CredentialState::Unread;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
