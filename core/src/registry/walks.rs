//! Contents that are being read: by one lookup each, for all that came to the same content (D-04).
//!
//! Invariant: who follows is told when its leader ends, and the leader is never among them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::digest::ManifestDigest;
use super::facts::TableId;
use super::job::JobId;
use crate::bytes;

/// What is read: a content for the use of one table.
type WalkKey = (TableId, ManifestDigest);

/// All readings.
#[derive(Debug, Default)]
pub(super) struct Walks(BTreeMap<WalkKey, Walk>);

/// One lookup reads a content; others that came to the same content wait for what it finds.
#[derive(Debug)]
struct Walk {
    leader: JobId,
    followers: Vec<JobId>,
}

impl Walks {
    /// Lets `job` wait for another that reads the same content already. False when there is none.
    pub(super) fn can_follow(&mut self, key: WalkKey, job: JobId) -> bool {
        let walk = self.0.get_mut(&key).filter(|walk| walk.leader != job);
        let Some(walk) = walk else {
            return false;
        };
        walk.followers.push(job);
        true
    }

    /// Notes that `job` begins to read a content.
    pub(super) fn lead(&mut self, key: WalkKey, job: JobId) {
        let walk = Walk {
            leader: job,
            followers: Vec::new(),
        };
        self.0.insert(key, walk);
    }

    /// Ends the reading of a content, and returns who waits for what `job` found.
    pub(super) fn end(&mut self, key: WalkKey, job: JobId) -> Vec<JobId> {
        match self.0.get(&key) {
            Some(walk) if walk.leader == job => {
                let walk = self.0.remove(&key);
                walk.map(|walk| walk.followers).unwrap_or_default()
            }
            Some(_) | None => Vec::new(),
        }
    }

    pub(super) fn remove_table(&mut self, table: TableId) {
        self.0.retain(|(of, _), _| *of != table);
    }

    /// Bytes held.
    pub(super) fn footprint(&self) -> usize {
        let followers = self.0.values().map(|walk| walk.followers.capacity());
        bytes::tree::<WalkKey, Walk>(self.0.len()) + followers.sum::<usize>() * size_of::<JobId>()
    }
}
