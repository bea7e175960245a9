//! `semver`: the highest version within a range (`images.md` 8.5).

use alloc::string::ToString as _;

use super::{Candidate, Counts, NoneReason, Selection, SelectionError};
use crate::image::constraint::Constraint;
use crate::image::reference::Tag;
use crate::image::version::Version;

pub(super) fn select<'a>(
    text: &str,
    running: Option<&Tag>,
    candidates: impl Iterator<Item = Candidate<'a>>,
) -> Selection {
    let foreign = running.filter(|tag| !tag.name.is_empty() && Version::parse(&tag.name).is_none());
    let constraint = match text {
        "" => Ok(Constraint::releases()),
        text => Constraint::parse(text).map_err(|error| SelectionError::BadConstraint {
            constraint: text.to_string(),
            error,
        }),
    };
    let mut counts = Counts::default();
    let mut best: Option<Version<'a>> = None;
    for candidate in candidates {
        counts.n_candidates += 1;
        let Some(version) = Version::parse(candidate.name) else {
            continue;
        };
        counts.n_usable += 1;
        if constraint.as_ref().is_ok_and(|c| c.accepts(&version)) {
            counts.n_eligible += 1;
            best = best.max(Some(version));
        }
    }
    // A repository whose tags are no versions at all is no match for the image, whatever runs; in every other case
    // the running tag must be a version too.
    if let Some(tag) = foreign
        && (counts.n_candidates == 0 || counts.n_usable > 0)
    {
        return Selection::Error(SelectionError::RunningTagNoVersion {
            tag: tag.name.clone(),
        });
    }
    if let Err(error) = constraint {
        return Selection::Error(error);
    }
    let tag = best.map(|version| Tag::named(version.original));
    Selection::of(tag, counts, NoneReason::NoVersions)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::image::select::{Strategy, select};

    #[test]
    fn configuration_is_judged_without_candidates_too() {
        let bad = choose("latest", "1.0", &[]);
        assert!(
            matches!(bad, Selection::Error(SelectionError::BadConstraint { .. })),
            "{bad:?}"
        );
        let foreign = choose("", "latest", &[]);
        assert!(
            matches!(
                foreign,
                Selection::Error(SelectionError::RunningTagNoVersion { .. })
            ),
            "{foreign:?}"
        );
        let bad = choose("latest", "main", &["main"]);
        assert!(
            matches!(bad, Selection::Error(SelectionError::BadConstraint { .. })),
            "{bad:?}"
        );
    }

    #[test]
    fn nothing_chosen_says_how_far_the_tags_came() {
        for (constraint, tags, reason, counts) in [
            ("", &[][..], NoneReason::NoCandidates, (0, 0, 0)),
            ("", &["main", "dev"][..], NoneReason::NoVersions, (2, 0, 0)),
            (
                "^2",
                &["1.0", "main"][..],
                NoneReason::NoneEligible,
                (2, 1, 0),
            ),
            ("", &["1.0-rc1"][..], NoneReason::NoneEligible, (1, 1, 0)),
        ] {
            let (n_candidates, n_usable, n_eligible) = counts;
            let counts = Counts {
                n_candidates,
                n_usable,
                n_eligible,
            };
            assert_eq!(
                choose(constraint, "1.0", tags),
                Selection::None { reason, counts },
                "{constraint}"
            );
        }
    }

    #[test]
    fn hundred_thousand_tags_are_no_burden() {
        let tags: Vec<_> = (0..100_000)
            .map(|n| format!("1.{n}.0-{}", "a.1.".repeat(28) + "b"))
            .collect();
        let selection = select(
            Strategy::Semver,
            "1.x-0",
            None,
            tags.iter().map(|tag| Candidate::named(tag)),
        );
        assert_eq!(selection.tag().map(|tag| &*tag.name), Some(&*tags[99_999]));
    }

    fn choose(constraint: &str, running: &str, tags: &[&str]) -> Selection {
        let candidates = tags.iter().map(|tag| Candidate::named(tag));
        select(
            Strategy::Semver,
            constraint,
            Some(&Tag::named(running)),
            candidates,
        )
    }
}
