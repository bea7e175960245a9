//! `alphabetical`: the greatest name in byte order (`images.md` 8.5).

use super::{Candidate, Counts, NoneReason, Selection};
use crate::image::reference::Tag;

pub(super) fn select<'a>(candidates: impl Iterator<Item = Candidate<'a>>) -> Selection {
    let mut counts = Counts::default();
    let mut best = None;
    for candidate in candidates {
        counts.n_candidates += 1;
        best = best.max(Some(candidate.name));
    }
    counts.n_usable = counts.n_candidates;
    counts.n_eligible = counts.n_candidates;
    Selection::of(best.map(Tag::named), counts, NoneReason::NoCandidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide() {
        for (names, chosen) in [
            (&["1.10", "1.9"][..], Some("1.9")),
            (&["Z", "a"][..], Some("a")),
            (&["v1", "v1.0"][..], Some("v1.0")),
            (&[][..], None),
        ] {
            let got = select(names.iter().map(|name| Candidate::named(name)));
            assert_eq!(got.tag().map(|tag| &*tag.name), chosen, "{names:?}");
        }
    }
}
