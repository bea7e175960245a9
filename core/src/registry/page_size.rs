//! How large the pages of a tag list are: a list that came in several pages is asked for in larger ones from
//! then on, so that it takes fewer requests.
//!
//! Invariants: a list that came as one page is asked for without `n`, as `registry.md` 6.1 has it; larger pages
//! are asked for only as long as they lead to fewer pages and to no fewer tags; a list that is not to be
//! had with `n` is asked for without it within the same lookup.

use super::Registry;
use super::job::{JobId, Task};
use super::outcome::LookupFailureKind as Kind;
use super::repository::RepositoryId;

/// Tags per page that are asked for; most registries give no more.
pub(super) const PAGE_TAGS_WANTED: u32 = 1000;

/// What is known about the pages of a repository's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum PageSize {
    /// The list came whole, or was not read yet.
    #[default]
    Own,
    /// The list came in so many pages of so many names; the next one is asked for in larger pages.
    Tried {
        /// More than one.
        n_pages: usize,
        n_names: u32,
    },
    /// Larger pages were given.
    Large,
    /// They were not, or not without doubt.
    Refused,
}

impl PageSize {
    /// True when the next list is to be asked for in larger pages.
    pub(super) const fn is_large(self) -> bool {
        match self {
            Self::Tried { .. } | Self::Large => true,
            Self::Own | Self::Refused => false,
        }
    }

    /// What a list says that was read to its end; `None` when it may be a part: then it is to be read
    /// without `n`. Some servers know `n` and not how to go on behind it.
    fn after_list(self, is_large: bool, n_pages: usize, n_names: u32) -> Option<Self> {
        let is_last_page_full = n_names > 0 && n_names.is_multiple_of(PAGE_TAGS_WANTED);
        match self {
            Self::Own | Self::Refused if is_large => Some(self),
            Self::Own if n_pages > 1 => Some(Self::Tried { n_pages, n_names }),
            Self::Own | Self::Refused => Some(self),
            Self::Tried { .. } | Self::Large if !is_large => Some(self),
            Self::Tried { .. } | Self::Large if is_last_page_full => None,
            Self::Tried { n_names: known, .. } if n_names < known => None,
            Self::Tried { n_pages: known, .. } if n_pages >= known => Some(Self::Refused),
            Self::Tried { .. } | Self::Large => Some(Self::Large),
        }
    }

    /// What a failed list says.
    fn after_failure(self, is_large: bool, kind: Kind) -> Self {
        match kind {
            // Whatever comes back under the name is another repository.
            Kind::Missing | Kind::RepositoryMissing => Self::Own,
            Kind::Denied | Kind::Malformed | Kind::Overflow | Kind::Transient => match self {
                Self::Tried { .. } if is_large => Self::Refused,
                Self::Own | Self::Tried { .. } | Self::Large | Self::Refused => self,
            },
            Kind::Throttled
            | Kind::Unreachable
            | Kind::Credential
            | Kind::Stalled
            | Kind::CircuitOpen => self,
        }
    }
}

impl Registry {
    /// Has a list that was asked for in larger pages asked for in the registry's own, from now on where
    /// that is `lasting` or larger ones were never given. False when it was not.
    pub(super) fn can_drop_page_size(&mut self, id: JobId, lasting: bool) -> bool {
        let job = self.job_mut(id);
        let Task::Listing(task) = &mut job.task else {
            return false;
        };
        if !core::mem::take(&mut task.is_large) {
            return false;
        }
        let id = job.repository;
        let repository = self.repository_mut(id);
        if lasting || repository.page_size != PageSize::Large {
            repository.page_size = PageSize::Refused;
        }
        true
    }

    /// The same for good, and begins the list anew at once.
    pub(super) fn is_begun_in_own_pages(&mut self, id: JobId) -> bool {
        let is_begun = self.can_drop_page_size(id, true);
        if is_begun {
            self.begin_listing_anew(id);
            self.job_mut(id).begin_exchange();
            self.enqueue_begun(id);
        }
        is_begun
    }

    /// Takes in how many pages a list had. False when it may be a part, and is read again.
    pub(super) fn is_whole_by_pages(&mut self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let Task::Listing(task) = &job.task else {
            return true;
        };
        let known = self.repositories[&job.repository].page_size;
        let n_names = task.builder.n_names();
        let Some(size) = known.after_list(task.is_large, task.seen.len(), n_names) else {
            return !self.is_begun_in_own_pages(id);
        };
        let repository = job.repository;
        self.repository_mut(repository).page_size = size;
        true
    }

    pub(super) fn note_failed_list(&mut self, id: RepositoryId, is_large: bool, kind: Kind) {
        let repository = self.repository_mut(id);
        repository.page_size = repository.page_size.after_failure(is_large, kind);
    }
}
