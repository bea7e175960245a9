//! Names of the annotations that the program reads (`images.md` 4), and what looks like one of them but is
//! not: misspelt keys, and keys of an alias that the image list does not have.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::application::Annotations;

/// The images to manage.
pub const IMAGE_LIST: &str = "image-list";
/// How a tag is chosen.
pub const UPDATE_STRATEGY: &str = "update-strategy";
/// Which tags may be chosen.
pub const ALLOW_TAGS: &str = "allow-tags";
/// The old name of `allow-tags`, of an image only.
pub const TAG_MATCH: &str = "tag-match";
/// Which tags may not be chosen.
pub const IGNORE_TAGS: &str = "ignore-tags";
/// Whether an image is updated that is not live.
pub const FORCE_UPDATE: &str = "force-update";
/// Where the credentials come from.
pub const PULL_SECRET: &str = "pull-secret";
/// Which platforms an image must be made for.
pub const PLATFORMS: &str = "platforms";
/// The Helm parameter of the image's name.
pub const HELM_IMAGE_NAME: &str = "helm.image-name";
/// The Helm parameter of the image's tag.
pub const HELM_IMAGE_TAG: &str = "helm.image-tag";
/// The Helm parameter of name and tag together.
pub const HELM_IMAGE_SPEC: &str = "helm.image-spec";
/// The image that is replaced in Kustomize.
pub const KUSTOMIZE_IMAGE_NAME: &str = "kustomize.image-name";
/// How changes are written.
pub const WRITE_BACK_METHOD: &str = "write-back-method";
/// What is written.
pub const WRITE_BACK_TARGET: &str = "write-back-target";
/// The branches of a Git write-back.
pub const GIT_BRANCH: &str = "git-branch";
/// The repository of a Git write-back.
pub const GIT_REPOSITORY: &str = "git-repository";

/// Keys of a whole application.
const APPLICATION_KEYS: [&str; 11] = [
    IMAGE_LIST,
    UPDATE_STRATEGY,
    ALLOW_TAGS,
    IGNORE_TAGS,
    FORCE_UPDATE,
    PULL_SECRET,
    PLATFORMS,
    WRITE_BACK_METHOD,
    WRITE_BACK_TARGET,
    GIT_BRANCH,
    GIT_REPOSITORY,
];

/// Keys of one image, behind its alias and a dot.
const IMAGE_KEYS: [&str; 11] = [
    UPDATE_STRATEGY,
    ALLOW_TAGS,
    TAG_MATCH,
    IGNORE_TAGS,
    FORCE_UPDATE,
    PULL_SECRET,
    PLATFORMS,
    HELM_IMAGE_NAME,
    HELM_IMAGE_TAG,
    HELM_IMAGE_SPEC,
    KUSTOMIZE_IMAGE_NAME,
];

/// Unknown keys told of one application.
pub const UNKNOWN_KEYS_MAX: usize = 32;
/// Aliases that a misspelt one is compared with.
const COMPARED_ALIASES_MAX: usize = 256;
/// Longest text that is compared; Kubernetes allows no longer key.
const COMPARED_BYTES_MAX: usize = 63;
/// Changes of one character that still count as a slip of the pen.
const SLIPS_MAX: usize = 2;

/// A key with our prefix that nothing reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownKey {
    /// The key, without prefix.
    pub key: Box<str>,
    /// The key that was probably meant, without prefix.
    pub suggestion: Option<Box<str>>,
}

/// The key of `option` for the image with that alias, given as it stands in keys (`images.md` 4).
pub fn image_key(annotation_alias: &str, option: &str) -> String {
    format!("{annotation_alias}.{option}")
}

/// The keys that nothing reads, in key order, at most [`UNKNOWN_KEYS_MAX`]; `aliases` as they stand in keys.
pub fn unknown_keys<'a>(
    annotations: &Annotations,
    aliases: impl IntoIterator<Item = &'a str>,
) -> Vec<UnknownKey> {
    let aliases: BTreeSet<&str> = aliases
        .into_iter()
        .filter(|alias| !alias.is_empty())
        .collect();
    annotations
        .iter()
        .map(|(key, _)| key)
        .filter(|key| !is_known(key, &aliases))
        .take(UNKNOWN_KEYS_MAX)
        .map(|key| UnknownKey {
            key: key.into(),
            suggestion: suggestion(key, &aliases).map(String::into_boxed_str),
        })
        .collect()
}

fn is_known(key: &str, aliases: &BTreeSet<&str>) -> bool {
    APPLICATION_KEYS.contains(&key)
        || splits(key)
            .any(|(alias, option)| aliases.contains(alias) && IMAGE_KEYS.contains(&option))
}

/// The known key with the fewest changes from `key`.
fn suggestion(key: &str, aliases: &BTreeSet<&str>) -> Option<String> {
    let whole = APPLICATION_KEYS
        .iter()
        .filter_map(|known| Some((slips(key, known)?, String::from(*known))));
    let parts = splits(key).filter_map(|(alias, option)| {
        let (option_slips, option) = nearest(option, IMAGE_KEYS)?;
        let (alias_slips, alias) = if aliases.contains(alias) {
            (0, alias)
        } else {
            nearest(alias, aliases.iter().copied().take(COMPARED_ALIASES_MAX))?
        };
        Some((option_slips + alias_slips, image_key(alias, option)))
    });
    whole.chain(parts).min().map(|(_, known)| known)
}

/// The ways to part a key into alias and option: at its last dot, and at the one before it.
fn splits(key: &str) -> impl Iterator<Item = (&str, &str)> {
    key.rmatch_indices('.')
        .take(2)
        .map(|(at, _)| (&key[..at], &key[at + 1..]))
}

fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    known
        .into_iter()
        .filter_map(|one| Some((slips(text, one)?, one)))
        .min()
}

/// How many characters must be put in, taken out or changed, if that is at most [`SLIPS_MAX`].
fn slips(one: &str, other: &str) -> Option<usize> {
    let lengths = [one.len(), other.len()];
    if lengths[0].abs_diff(lengths[1]) > SLIPS_MAX
        || lengths.iter().any(|n| *n > COMPARED_BYTES_MAX)
    {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().filter(|slips| *slips <= SLIPS_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::application::ANNOTATION_PREFIX;
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn known_keys_are_not_told() {
        check("image-list", None);
        check("write-back-method", None);
        check("web.update-strategy", None);
        check("web.helm.image-name", None);
        check("a.b.kustomize.image-name", None);
    }

    #[test]
    fn slips_are_told_with_what_was_meant() {
        check("image-lst", Some("image-list"));
        check("update-stratgy", Some("update-strategy"));
        check("web.update-stategy", Some("web.update-strategy"));
        check("wbe.allow-tags", Some("web.allow-tags"));
        check("web.helm.imagename", Some("web.helm.image-name"));
        check("a.c.kustomize.image-nam", Some("a.b.kustomize.image-name"));
    }

    #[test]
    fn strange_keys_are_told_without_a_guess() {
        check("other.allow-tags", Some(""));
        check("helm.image-name", Some(""));
        check("git-credentials", Some(""));
        check(".", Some(""));
        check(&"a.".repeat(100), Some(""));
    }

    #[test]
    fn number_of_told_keys_is_bounded() {
        let keys: Vec<String> = (0..100)
            .map(|n| format!("{ANNOTATION_PREFIX}unknown-{n}"))
            .collect();
        let annotations = Annotations::from_pairs(keys.iter().map(|key| (&**key, "")));
        assert_eq!(unknown_keys(&annotations, []).len(), UNKNOWN_KEYS_MAX);
    }

    /// Expects no report, or one with that suggestion (empty: none).
    fn check(key: &str, expect: Option<&str>) {
        let full = format!("{ANNOTATION_PREFIX}{key}");
        let annotations = Annotations::from_pairs([(&*full, "")]);
        let told = unknown_keys(&annotations, ["web", "a.b", ""]);
        let got = told
            .first()
            .map(|one| one.suggestion.as_deref().unwrap_or("").to_string());
        assert_eq!(got.as_deref(), expect, "{key}");
    }
}
