//! Where the build times of tags come from (`images.md` 7.4).

use crate::image::select::Strategy;
use crate::time::UnixTime;

/// The registry option `taglistsort`: what the order of a registry's tag list means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TagListSort {
    /// Nothing.
    #[default]
    Unsorted,
    /// The newest tag comes first.
    LatestFirst,
    /// The newest tag comes last.
    LatestLast,
}

/// Where the build times of the filtered tags of one listing come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TagDates {
    /// No time is needed: every tag gets the epoch.
    Epoch,
    /// Their positions stand for times, the first tag being the newest.
    NewestFirst,
    /// Their positions stand for times, the last tag being the newest.
    NewestLast,
    /// The manifest of every tag is read; under `digest` for its digest.
    Manifests,
}

impl TagDates {
    /// What a strategy and a registry make necessary (`images.md` 7.4). `digest` always reads the digest (D-26).
    pub const fn of(strategy: Strategy, sort: TagListSort) -> Self {
        match (strategy, sort) {
            (Strategy::Digest, _) | (Strategy::NewestBuild, TagListSort::Unsorted) => {
                Self::Manifests
            }
            (_, TagListSort::LatestFirst) => Self::NewestFirst,
            (_, TagListSort::LatestLast) => Self::NewestLast,
            (Strategy::Semver | Strategy::Alphabetical, TagListSort::Unsorted) => Self::Epoch,
        }
    }

    /// The time of the tag at `position` of `n_tags`, in seconds; `None` when manifests have to be read.
    pub fn at(self, position: usize, n_tags: usize) -> Option<UnixTime> {
        let place = match self {
            Self::Epoch => 0,
            Self::NewestFirst => n_tags.saturating_sub(position),
            Self::NewestLast => position,
            Self::Manifests => return None,
        };
        Some(UnixTime::from_secs(
            i64::try_from(place).unwrap_or(i64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stand_for_times_where_the_registry_sorts() {
        for (strategy, sort, first, last) in [
            (
                Strategy::NewestBuild,
                TagListSort::LatestFirst,
                Some(3),
                Some(1),
            ),
            (
                Strategy::NewestBuild,
                TagListSort::LatestLast,
                Some(0),
                Some(2),
            ),
            (Strategy::NewestBuild, TagListSort::Unsorted, None, None),
            (Strategy::Semver, TagListSort::Unsorted, Some(0), Some(0)),
            (Strategy::Digest, TagListSort::LatestFirst, None, None),
        ] {
            let dates = TagDates::of(strategy, sort);
            let at = |position| dates.at(position, 3).map(UnixTime::as_secs);
            assert_eq!((at(0), at(2)), (first, last), "{strategy} {sort:?}");
        }
    }
}
