//! `newest-build`: the image that was built last, the greater name of equal times (`images.md` 8.5).

use super::{Candidate, Counts, NoneReason, Selection};
use crate::image::reference::Tag;

pub(super) fn select<'a>(candidates: impl Iterator<Item = Candidate<'a>>) -> Selection {
    let mut counts = Counts::default();
    let mut best = None;
    for candidate in candidates {
        counts.n_candidates += 1;
        if let Some(created) = candidate.created {
            counts.n_usable += 1;
            counts.n_eligible += 1;
            best = best.max(Some((created, candidate.name)));
        }
    }
    let tag = best.map(|(_, name)| Tag::named(name));
    Selection::of(tag, counts, NoneReason::NoDates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    #[test]
    fn undated_tags_take_no_part() {
        let dated = |name, secs| Candidate {
            created: Some(UnixTime::from_secs(secs)),
            ..Candidate::named(name)
        };
        let undated = Candidate::named("z");
        let chosen = select([dated("a", 1), undated, dated("b", 1), dated("c", 0)].into_iter());
        let counts = Counts {
            n_candidates: 4,
            n_usable: 3,
            n_eligible: 3,
        };
        let tag = Tag::named("b");
        assert_eq!(chosen, Selection::Tag { tag, counts });
        let none = select([undated].into_iter());
        assert!(
            matches!(
                none,
                Selection::None {
                    reason: NoneReason::NoDates,
                    ..
                }
            ),
            "{none:?}"
        );
    }
}
