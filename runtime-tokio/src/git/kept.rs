//! What sessions leave to the next one about the same branches, bounded: it can be lost at any time.

use std::sync::{Arc, Mutex, PoisonError};

use image_updater_core::git::{Known, Target};
use image_updater_core::publish::{CredentialReference, GitJob, RepositoryUrl};

/// Most targets of which something is kept.
const TARGETS_MAX: usize = 256;
/// Most bytes that are kept together.
const BYTES_MAX: usize = 64 << 20;

/// Whose trees these are. What one login has read is not given to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeptKey {
    repository: RepositoryUrl,
    target: Target,
    credential: CredentialReference,
}

impl KeptKey {
    /// The key of a job.
    pub(super) fn of(job: &GitJob) -> Self {
        Self {
            repository: job.repository.clone(),
            target: job.target.clone(),
            credential: job.credential.clone(),
        }
    }
}

/// Trees of the last tips.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    key: KeptKey,
    known: Known,
    n_bytes: usize,
}

impl Kept {
    /// Takes what is kept for `key`.
    pub(super) fn take(&self, key: &KeptKey) -> Known {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|entry| entry.key == *key);
        at.map(|at| entries.remove(at).known).unwrap_or_default()
    }

    /// Keeps `known`; what was used longest ago makes room.
    pub(super) fn put(&self, key: KeptKey, known: Known) {
        let n_bytes = known.n_bytes();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.key != key);
        entries.push(Entry {
            key,
            known,
            n_bytes,
        });
        let mut n_held: usize = entries.iter().map(|entry| entry.n_bytes).sum();
        let mut n_over = 0;
        for entry in entries.iter() {
            if n_held <= BYTES_MAX && entries.len() - n_over <= TARGETS_MAX {
                break;
            }
            n_held -= entry.n_bytes;
            n_over += 1;
        }
        entries.drain(..n_over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let kept = Kept::default();
        for n in 0..TARGETS_MAX {
            kept.put(key(n), Known::default());
        }
        kept.put(key(0), kept.take(&key(0)));
        kept.put(key(TARGETS_MAX), Known::default());
        let entries = kept.0.lock().expect("nobody panics");
        let has = |n| entries.iter().any(|entry| entry.key == key(n));
        assert_eq!(entries.len(), TARGETS_MAX);
        assert!(has(0) && !has(1) && has(2) && has(TARGETS_MAX));
    }

    #[test]
    fn logins_share_nothing() {
        let kept = Kept::default();
        let secret = KeptKey {
            credential: CredentialReference::Secret("a/b".into()),
            ..key(0)
        };
        kept.put(key(0), Known::default());
        kept.put(secret.clone(), Known::default());
        assert_eq!(kept.0.lock().expect("nobody panics").len(), 2);
        kept.take(&secret);
        assert_eq!(kept.0.lock().expect("nobody panics")[0].key, key(0));
    }

    fn key(n: usize) -> KeptKey {
        let project = "default".into();
        KeptKey {
            repository: RepositoryUrl::new(&format!("https://git.test/{n}")),
            target: Target::default(),
            credential: CredentialReference::Repository { project },
        }
    }
}
