//! `digest`: what one tag points to; name and digest are written together (`images.md` 8.5).

use alloc::string::ToString as _;

use super::{Candidate, Counts, NoneReason, Selection, SelectionError};
use crate::image::reference::Tag;

pub(super) fn select<'a>(
    wanted: &str,
    candidates: impl Iterator<Item = Candidate<'a>>,
) -> Selection {
    if wanted.is_empty() {
        return Selection::Error(SelectionError::NoConstraintTag);
    }
    let mut counts = Counts::default();
    let mut best = None;
    for candidate in candidates {
        counts.n_candidates += 1;
        if candidate.name != wanted {
            // Not filtered by the caller; counts as usable, so that the reason is the missing tag.
            counts.n_usable += 1;
        } else if !candidate.digest.is_empty() {
            counts.n_usable += 1;
            counts.n_eligible += 1;
            best = Some(Tag {
                name: candidate.name.to_string(),
                digest: candidate.digest.to_string(),
            });
        }
    }
    Selection::of(best, counts, NoneReason::NoDigest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_without_digest_is_not_chosen() {
        for (name, digest, reason) in [
            ("dev", "", Some(NoneReason::NoDigest)),
            ("latest", "sha256:a", Some(NoneReason::NoneEligible)),
            ("dev", "sha256:a", None),
        ] {
            let candidate = Candidate {
                digest,
                ..Candidate::named(name)
            };
            match select("dev", [candidate].into_iter()) {
                Selection::Tag { tag, .. } => {
                    assert_eq!((reason, &*tag.digest), (None, digest));
                }
                Selection::None { reason: got, .. } => assert_eq!(Some(got), reason),
                Selection::Error(error) => panic!("{error}"),
            }
        }
        let error = select("", core::iter::empty());
        assert_eq!(error, Selection::Error(SelectionError::NoConstraintTag));
    }
}
