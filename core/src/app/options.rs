//! The options of one image: its own annotation first, the application's next, the default last
//! (`images.md` 4.1).
//!
//! An empty value is the same as none (D-11), values are trimmed (D-12). What is wrong is never passed over: it
//! is a [`Remark`] that names the annotation. Resolved when needed and dropped after use, because expressions are
//! compiled; an application keeps only the texts.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::annotation::{
    ALLOW_TAGS, FORCE_UPDATE, HELM_IMAGE_NAME, HELM_IMAGE_SPEC, HELM_IMAGE_TAG, IGNORE_TAGS,
    KUSTOMIZE_IMAGE_NAME, PLATFORMS, PULL_SECRET, TAG_MATCH, UPDATE_STRATEGY, image_key,
};
use super::application::{ANNOTATION_PREFIX, Annotations};
use crate::credential::{CredentialReference, RegistryPrefix};
use crate::image::match_expression::MatchExpression;
use crate::image::select::Strategy;
use crate::image::tag_filter::IgnorePatterns;
use crate::image::{Image, Platform, PlatformSet};

/// The Helm parameter of an image's name when no annotation names one (`images.md` 11.1).
pub const HELM_IMAGE_NAME_DEFAULT: &str = "image.name";
/// The Helm parameter of an image's tag when no annotation names one (`images.md` 11.1).
pub const HELM_IMAGE_TAG_DEFAULT: &str = "image.tag";
/// Longest piece of an annotation's value that a remark repeats.
const QUOTED_CHARS_MAX: usize = 80;

/// What the annotations say of one image.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// How a tag is chosen; `semver` also for an unknown name, which is an error among the remarks.
    pub strategy: Strategy,
    /// Which tags may be chosen; none for a faulty value.
    pub allow_tags: MatchExpression,
    /// Which tags may not be chosen; `None` when nothing is configured.
    pub ignore_tags: Option<IgnorePatterns>,
    /// Where the credentials come from; `None` also for a faulty reference, which is an error among the remarks.
    pub pull_secret: Option<CredentialReference>,
    /// Whether the image is updated even if it does not run.
    pub force_update: bool,
    /// The wanted platforms.
    pub platforms: PlatformSet,
    /// The configured Helm parameters.
    pub helm: HelmOptions,
    /// The image that is replaced in Kustomize.
    pub kustomize_image_name: Option<Box<str>>,
    /// What is wrong or out of date, in the order of the options.
    pub remarks: Vec<Remark>,
}

/// The Helm parameters that the annotations of an image name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HelmOptions {
    /// `helm.image-name`.
    pub image_name: Option<Box<str>>,
    /// `helm.image-tag`.
    pub image_tag: Option<Box<str>>,
    /// `helm.image-spec`.
    pub image_spec: Option<Box<str>>,
}

/// The Helm parameters that are written, the same for the object and for values files (`images.md` 11.1, D-16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HelmNames<'a> {
    /// One parameter for name and tag together.
    Spec(&'a str),
    /// Two parameters.
    NameAndTag {
        /// The parameter of the full name.
        name: &'a str,
        /// The parameter of the tag.
        tag: &'a str,
    },
}

/// Something to say about an annotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// The whole key of the annotation.
    pub key: Box<str>,
    /// What is the matter, and what is accepted.
    pub detail: Box<str>,
    /// Whether the image can be updated in spite of it.
    pub weight: RemarkWeight,
}

/// How much a remark matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RemarkWeight {
    /// The rest works as documented, the user should know.
    Warning,
    /// Going on would mean something else than was asked for: the image is in error (D-12, D-13).
    Error,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.detail)
    }
}

impl HelmOptions {
    /// The options of a list entry. One without alias goes by its path, in the object as in values files
    /// (`writeback.md` 9.3, WB-40, D-16).
    fn of(annotations: &Annotations, image: &Image) -> Self {
        let alias = if image.alias.is_empty() {
            image.name.replace('/', "_")
        } else {
            image.annotation_alias().into_owned()
        };
        let resolver = Resolver {
            annotations,
            alias: &alias,
            remarks: Vec::new(),
        };
        Self {
            image_name: resolver.own_text(HELM_IMAGE_NAME),
            image_tag: resolver.own_text(HELM_IMAGE_TAG),
            image_spec: resolver.own_text(HELM_IMAGE_SPEC),
        }
    }

    /// The parameters that are written: the spec alone, or name and tag with their defaults.
    pub fn names(&self) -> HelmNames<'_> {
        match &self.image_spec {
            Some(spec) => HelmNames::Spec(spec),
            None => HelmNames::NameAndTag {
                name: self
                    .image_name
                    .as_deref()
                    .unwrap_or(HELM_IMAGE_NAME_DEFAULT),
                tag: self.image_tag.as_deref().unwrap_or(HELM_IMAGE_TAG_DEFAULT),
            },
        }
    }
}

impl ImageOptions {
    /// Resolves the options of a list entry (`images.md` 4.1); `runtime` is the platform that is wanted when no
    /// annotation names one.
    pub fn resolve(annotations: &Annotations, image: &Image, runtime: &Platform) -> Self {
        let alias = &*image.annotation_alias();
        let mut resolver = Resolver {
            annotations,
            alias,
            remarks: Vec::new(),
        };
        Self {
            strategy: resolver.strategy(),
            allow_tags: resolver.allow_tags(),
            ignore_tags: resolver.ignore_tags(),
            pull_secret: resolver.pull_secret(),
            force_update: resolver.force_update(),
            platforms: resolver.platforms(runtime),
            helm: HelmOptions::of(annotations, image),
            kustomize_image_name: resolver.own_text(KUSTOMIZE_IMAGE_NAME),
            remarks: resolver.remarks,
        }
    }

    /// The remark that keeps the image from being updated, if there is one.
    pub fn error(&self) -> Option<&Remark> {
        self.remarks
            .iter()
            .find(|remark| remark.weight == RemarkWeight::Error)
    }
}

/// Whether an image is updated even if it does not run; `annotation_alias` as it stands in keys.
pub fn is_forced(annotations: &Annotations, annotation_alias: &str) -> bool {
    let mut resolver = Resolver {
        annotations,
        alias: annotation_alias,
        remarks: Vec::new(),
    };
    resolver.force_update()
}

struct Resolver<'a> {
    annotations: &'a Annotations,
    alias: &'a str,
    remarks: Vec<Remark>,
}

/// A value and the key that it stands under, without prefix.
struct Found<'a> {
    key: String,
    text: &'a str,
}

impl<'a> Resolver<'a> {
    fn strategy(&mut self) -> Strategy {
        let Some(found) = self.find(UPDATE_STRATEGY) else {
            return Strategy::default();
        };
        match Strategy::parse(found.text) {
            Ok(parsed) => {
                if parsed.is_old_name {
                    let detail = format!(
                        "{} is an old name, write {}",
                        quoted(found.text),
                        parsed.strategy.as_str()
                    );
                    self.remark(&found.key, detail, RemarkWeight::Warning);
                }
                parsed.strategy
            }
            Err(error) => {
                let detail = format!("{}: {error}", quoted(found.text));
                self.remark(&found.key, detail, RemarkWeight::Error);
                Strategy::default()
            }
        }
    }

    fn allow_tags(&mut self) -> MatchExpression {
        let found = self.find(ALLOW_TAGS).or_else(|| {
            let found = self.find_under([self.own_key(TAG_MATCH)])?;
            let detail = format!("{TAG_MATCH} is an old name, write {ALLOW_TAGS}");
            self.remark(&found.key, detail, RemarkWeight::Warning);
            Some(found)
        });
        let Some(found) = found else {
            return MatchExpression::Any;
        };
        let expression = MatchExpression::parse(found.text);
        if let Some(fault) = expression.fault() {
            // No tag matches, hence nothing unwanted can be chosen.
            let detail = format!(
                "{}: {fault}; expected any or regexp:<expression>",
                quoted(found.text)
            );
            self.remark(&found.key, detail, RemarkWeight::Warning);
        }
        expression
    }

    fn ignore_tags(&mut self) -> Option<IgnorePatterns> {
        let Some(found) = self.find(IGNORE_TAGS) else {
            // Blank text is a list, an empty one.
            let is_blank = self.keys(IGNORE_TAGS).iter().any(|key| {
                let value = self.annotations.value(key);
                value.is_some_and(|value| !value.is_empty())
            });
            return is_blank.then(IgnorePatterns::default);
        };
        match IgnorePatterns::parse(found.text) {
            Ok(patterns) => {
                for (pattern, is_well_formed) in patterns.iter() {
                    if !is_well_formed {
                        let detail =
                            format!("{} is no pattern and ignores nothing", quoted(pattern));
                        self.remark(&found.key, detail, RemarkWeight::Warning);
                        break;
                    }
                }
                Some(patterns)
            }
            Err(error) => {
                self.remark(&found.key, error.to_string(), RemarkWeight::Error);
                None
            }
        }
    }

    fn pull_secret(&mut self) -> Option<CredentialReference> {
        let found = self.find(PULL_SECRET)?;
        // The text is not repeated: somebody may have written the secret itself.
        CredentialReference::parse(found.text.trim(), RegistryPrefix::Optional)
            .map_err(|error| self.remark(&found.key, error.to_string(), RemarkWeight::Error))
            .ok()
    }

    fn force_update(&mut self) -> bool {
        let Some(found) = self.find(FORCE_UPDATE) else {
            return false;
        };
        let text = found.text.trim();
        let is_true = text.eq_ignore_ascii_case("true");
        if !is_true && !text.eq_ignore_ascii_case("false") {
            let detail = format!("{} counts as false, expected true or false", quoted(text));
            self.remark(&found.key, detail, RemarkWeight::Warning);
        }
        is_true
    }

    fn platforms(&mut self, runtime: &Platform) -> PlatformSet {
        let found = self.find(PLATFORMS).or_else(|| {
            let mut keys = self.keys(PLATFORMS).into_iter();
            keys.find_map(|key| self.found(key))
        });
        let Some(found) = found else {
            return PlatformSet::runtime(runtime);
        };
        let set = PlatformSet::parse(found.text);
        if let Some(key) = set.malformed_keys().next() {
            let detail = format!(
                "{} is no platform and matches nothing, expected os/arch[/variant] separated by commas",
                quoted(key.trim_end_matches('/'))
            );
            self.remark(&found.key, detail, RemarkWeight::Warning);
        }
        set
    }

    /// An option of the image alone, trimmed; `None` when blank (D-15).
    fn own_text(&self, option: &str) -> Option<Box<str>> {
        let found = self.find_under([self.own_key(option)])?;
        Some(found.text.trim().into())
    }

    /// The first value of the image's key and the application's that is not blank.
    fn find(&self, option: &str) -> Option<Found<'a>> {
        self.find_under(self.keys(option))
    }

    fn find_under<const N: usize>(&self, keys: [String; N]) -> Option<Found<'a>> {
        keys.into_iter()
            .filter_map(|key| self.found(key))
            .find(|found| !found.text.trim().is_empty())
    }

    fn found(&self, key: String) -> Option<Found<'a>> {
        let text = self.annotations.value(&key)?;
        Some(Found { key, text })
    }

    fn keys(&self, option: &str) -> [String; 2] {
        [self.own_key(option), option.into()]
    }

    fn own_key(&self, option: &str) -> String {
        image_key(self.alias, option)
    }

    fn remark(&mut self, key: &str, detail: String, weight: RemarkWeight) {
        self.remarks.push(Remark {
            key: format!("{ANNOTATION_PREFIX}{key}").into_boxed_str(),
            detail: detail.into_boxed_str(),
            weight,
        });
    }
}

/// The text in quotes with its white space made visible, cut after [`QUOTED_CHARS_MAX`].
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::Strategy;
    use super::*;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn image_goes_before_application_and_empty_is_not_set() {
        let strategy = |pairs: &[(&str, &str)]| resolve(pairs).strategy;
        assert_eq!(strategy(&[]), Strategy::Semver);
        assert_eq!(strategy(&[("update-strategy", "digest")]), Strategy::Digest);
        let both = [
            ("update-strategy", "digest"),
            ("t_a.update-strategy", "Newest-Build "),
        ];
        assert_eq!(strategy(&both), Strategy::NewestBuild);
        let empty = [("update-strategy", "digest"), ("t_a.update-strategy", " ")];
        assert_eq!(strategy(&empty), Strategy::Digest);
    }

    #[test]
    fn every_mistake_is_told_with_its_key_and_what_is_accepted() {
        let warning = RemarkWeight::Warning;
        let error = RemarkWeight::Error;
        tell("t_a.update-strategy", "newest", error, "newest-build");
        tell("update-strategy", "latest", warning, "newest-build");
        tell("allow-tags", "v1", warning, "regexp:<expression>");
        tell("t_a.allow-tags", "regexp:(", warning, "regexp:<expression>");
        tell("t_a.tag-match", "any", warning, "allow-tags");
        tell("ignore-tags", "ok, [", warning, "\"[\"");
        tell("ignore-tags", &"a,".repeat(5_000), error, "256");
        tell(
            "t_a.pull-secret",
            "ns/name",
            error,
            "pullsecret:<namespace>/<name>",
        );
        tell(
            "pull-secret",
            "secret:ns/name",
            error,
            "secret:<namespace>/<name>#<field>",
        );
        tell("t_a.force-update", "yes", warning, "true or false");
        tell("platforms", "linux/amd64, bogus", warning, "os/arch");
        tell("t_a.platforms", "", warning, "os/arch");
        tell("update-strategy", &"ä".repeat(50_000), error, "…");
    }

    #[test]
    fn credential_text_is_not_repeated() {
        let options = resolve(&[("pull-secret", "user:hunter2")]);
        assert!(!options.remarks[0].to_string().contains("hunter2"));
    }

    #[test]
    fn texts_of_the_image_are_trimmed() {
        let options = resolve(&[
            ("t_a.helm.image-spec", " a.spec "),
            ("t_a.helm.image-name", " "),
            ("helm.image-tag", "x"),
        ]);
        assert_eq!(options.helm.names(), HelmNames::Spec("a.spec"));
        assert_eq!(options.helm.image_name, None);
        assert_eq!(options.helm.image_tag, None);
    }

    #[test]
    fn one_configured_name_leaves_the_default_of_the_other() {
        let options = resolve(&[("t_a.helm.image-tag", "t")]);
        let expect = HelmNames::NameAndTag {
            name: "image.name",
            tag: "t",
        };
        assert_eq!(options.helm.names(), expect);
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_values_are_answered(values in prop::collection::vec(".{0,24}", 18)) {
            let keys = [
                UPDATE_STRATEGY, ALLOW_TAGS, IGNORE_TAGS, PULL_SECRET, FORCE_UPDATE, PLATFORMS,
                "t_a.update-strategy", "t_a.allow-tags", "t_a.tag-match", "t_a.ignore-tags",
                "t_a.pull-secret", "t_a.force-update", "t_a.platforms", "t_a.helm.image-name",
                "t_a.helm.image-tag", "t_a.helm.image-spec", "t_a.kustomize.image-name", "x",
            ];
            let pairs: Vec<(&str, &str)> =
                keys.into_iter().zip(values.iter().map(String::as_str)).collect();
            let options = resolve(&pairs);
            prop_assert!(options.remarks.len() <= 8);
        }
    }

    /// Expects one remark on `key` that holds `part`.
    fn tell(key: &str, value: &str, weight: RemarkWeight, part: &str) {
        let options = resolve(&[(key, value)]);
        assert_eq!(options.remarks.len(), 1, "{key} {:?}", options.remarks);
        let remark = &options.remarks[0];
        assert_eq!(*remark.key, format!("{ANNOTATION_PREFIX}{key}"));
        assert_eq!(remark.weight, weight, "{remark}");
        assert!(remark.detail.contains(part), "{remark}");
        assert!(remark.detail.len() < 1_000, "{remark}");
        assert_eq!(options.error().is_some(), weight == RemarkWeight::Error);
    }

    fn resolve(pairs: &[(&str, &str)]) -> ImageOptions {
        let pairs: Vec<(String, &str)> = pairs
            .iter()
            .map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), *value))
            .collect();
        let annotations =
            Annotations::from_pairs(pairs.iter().map(|(key, value)| (&**key, *value)));
        let image = Image::parse("t/a=nginx:1.x");
        ImageOptions::resolve(&annotations, &image, &Platform::new("linux", "amd64"))
    }
}
