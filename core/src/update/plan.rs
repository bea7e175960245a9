//! What has to be looked up for one application: its list entries with their live images and options
//! (`images.md` 10.1, steps 1 to 6).
//!
//! A plan holds compiled expressions. It depends on the Application and on nothing else: it may be dropped after a
//! decision and made anew, or be kept as long as the Application does not change.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::fmt;

use super::claim::{Claim, Claims};
use super::kustomize;
use super::reason::Reason;
use super::refusal::Refusal;
use crate::app::annotation::{GIT_BRANCH, WRITE_BACK_METHOD};
use crate::app::{Application, HelmNames, ImageOptions, PROBLEMS_MAX, SourceKind, WriteBackMethod};
use crate::credential::CredentialSource;
use crate::image::list::RejectedEntry;
use crate::image::{
    Constraint, Image, Platform, SelectionError, Strategy, Tag, TagDates, TagFilter, TagListSort,
    TagVerdict, Version, find_all_live,
};

/// Warnings kept of one plan.
pub const WARNINGS_MAX: usize = 32;
/// Where annotations stand in an object.
const ANNOTATIONS_PATH: &str = "metadata.annotations";

/// What has to be looked up for one application.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The entries of the image list, in order.
    pub images: Vec<ImagePlan>,
    /// How changes are written.
    pub method: Result<WriteBackMethod, Refusal>,
    /// Why there are no images; `None` when the list could be read.
    pub refusal: Option<Refusal>,
    /// What should be told though it stops nothing, at most [`WARNINGS_MAX`]. Remarks on options are with the images.
    pub warnings: Vec<PlanWarning>,
    /// Who decides about what in Kustomize; empty for other types.
    claims: Claims,
}

/// One entry of the image list.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    /// The entry: registry host, name, alias; its tag is the constraint.
    pub entry: Image,
    /// The live image that it is compared with; `None` when there is none (step 1).
    pub live: Option<Image>,
    /// Its resolved options.
    pub options: ImageOptions,
    /// The image that it replaces in Kustomize, if that is configured.
    pub replaced: Option<Image>,
    /// Which tags may be chosen; `None` when an obstacle stands in the way.
    filter: Option<TagFilter>,
    /// Why nothing needs to be looked up.
    pub obstacle: Option<Reason>,
}

/// What a decision about one image needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need<'a> {
    /// The names of the tags.
    Tags,
    /// The names, and of every candidate the build time.
    Created,
    /// The digest of this one tag, if the registry has it. A listing of that tag alone is enough.
    Digest(&'a str),
}

/// Something to tell about an application that stops nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanWarning {
    /// An element of the image list names no image and is passed over (D-06).
    RejectedEntry(RejectedEntry),
    /// Two images write one Helm parameter: the later one wins, again and again (D-33).
    SharedHelmParameter {
        /// The parameter.
        parameter: Box<str>,
        /// The two images.
        images: [Box<str>; 2],
    },
    /// Two images replace one in Kustomize: only the first of these two is followed.
    SharedKustomizeImage {
        /// What they replace.
        target: Box<str>,
        /// The two images.
        images: [Box<str>; 2],
    },
}

impl PlanWarning {
    /// A stable code for logs and tests.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RejectedEntry(_) => "rejected-entry",
            Self::SharedHelmParameter { .. } => "shared-helm-parameter",
            Self::SharedKustomizeImage { .. } => "shared-kustomize-image",
        }
    }
}

impl fmt::Display for PlanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RejectedEntry(entry) => {
                write!(f, "{:?} is passed over: {}", entry.text, entry.defect)
            }
            Self::SharedHelmParameter {
                parameter,
                images: [one, other],
            } => write!(
                f,
                "{one} and {other} both write the Helm parameter {parameter}; give each its own \
                 with <alias>.helm.image-name and <alias>.helm.image-tag"
            ),
            Self::SharedKustomizeImage {
                target,
                images: [one, other],
            } => write!(
                f,
                "{one} and {other} both replace {target} in Kustomize, which has one entry for it; \
                 only {one} is followed"
            ),
        }
    }
}

impl Plan {
    /// A plan without images, to stand in while the real one is worked with.
    pub const fn empty() -> Self {
        Self {
            images: Vec::new(),
            method: Ok(WriteBackMethod::Argocd),
            refusal: None,
            warnings: Vec::new(),
            claims: Claims::empty(),
        }
    }

    /// The plan of the application's own image list; `runtime` is the platform that is wanted when no annotation
    /// names one.
    pub fn of(app: &Application, runtime: &Platform) -> Self {
        match app.image_list() {
            Ok(list) => {
                let mut plan = Self::of_entries(app, list.images, runtime);
                let rejected = list.rejected.into_iter().map(PlanWarning::RejectedEntry);
                let room = WARNINGS_MAX.saturating_sub(plan.warnings.len());
                plan.warnings.extend(rejected.take(room));
                plan
            }
            Err(problem) => Self::refused(app, Refusal::ImageList(problem)),
        }
    }

    /// The plan of these entries, whatever the application lists.
    pub fn of_entries(app: &Application, entries: Vec<Image>, runtime: &Platform) -> Self {
        // Behind the last problem that is kept there may be more of which nothing is known.
        let mut problems = app.problems.iter().enumerate();
        let unread = problems
            .find(|(n, problem)| *n >= PROBLEMS_MAX || problem.path.starts_with(ANNOTATIONS_PATH));
        if let Some((_, problem)) = unread {
            return Self::refused(app, Refusal::Annotation(problem.clone()));
        }
        let live = match app.image_list() {
            Ok(list) => app.live_images(&list.images),
            Err(_) => app.live_images(&[]),
        };
        let images: Vec<ImagePlan> = entries
            .into_iter()
            .map(|entry| ImagePlan::new(app, entry, &live, runtime))
            .collect();
        let (claims, warnings) = match app.source_kind() {
            SourceKind::Helm => (Claims::empty(), shared_parameters(&images)),
            SourceKind::Kustomize => {
                let claims = Claims::of(&images);
                let warnings = shared_targets(&images, &claims);
                (claims, warnings)
            }
            SourceKind::Unsupported => (Claims::empty(), Vec::new()),
        };
        Self {
            images,
            method: method_of(app),
            refusal: None,
            warnings,
            claims,
        }
    }

    fn refused(app: &Application, refusal: Refusal) -> Self {
        Self {
            images: Vec::new(),
            method: method_of(app),
            refusal: Some(refusal),
            warnings: Vec::new(),
            claims: Claims::empty(),
        }
    }

    /// The image that decides about what the one at `at` would replace in Kustomize, when that is another one.
    pub(super) fn rival_of(&self, at: usize) -> Option<&ImagePlan> {
        let target = self.images.get(at)?.target();
        let owner = self.claims.owner_of(&self.images, target)?;
        self.images.get(owner).filter(|_| owner != at)
    }

    /// How the images but that at `at` lay claim to `image`.
    pub(super) fn claim_of_others(&self, at: usize, image: &Image) -> Claim {
        self.claims.of_others(&self.images, at, image)
    }
}

impl ImagePlan {
    fn new(app: &Application, entry: Image, live: &[Image], runtime: &Platform) -> Self {
        let options = ImageOptions::resolve(&app.annotations, &entry, runtime);
        Self::of(entry, options, live)
    }

    /// The plan of an entry with these options, among the images that run.
    pub fn of(entry: Image, options: ImageOptions, live: &[Image]) -> Self {
        let constraint = entry.tag_name();
        let filter = TagFilter::new(
            options.strategy,
            constraint,
            options.allow_tags.clone(),
            options.ignore_tags.clone().unwrap_or_default(),
        );
        let range = match options.strategy {
            Strategy::Semver if constraint.is_empty() => Ok(Some(Constraint::releases())),
            Strategy::Semver => Constraint::parse(constraint).map(Some),
            Strategy::NewestBuild | Strategy::Alphabetical | Strategy::Digest => Ok(None),
        };
        let known_filter = filter.as_ref().ok();
        let fits = |image: &Image| {
            let tag = image.tag_name();
            let is_candidate =
                known_filter.is_some_and(|filter| filter.verdict(tag) == TagVerdict::Candidate);
            is_candidate
                && match &range {
                    Ok(Some(range)) => Version::parse(tag).is_some_and(|v| range.accepts(&v)),
                    Ok(None) => true,
                    Err(_) => false,
                }
        };
        let live = pick_live(live, &entry, fits).cloned();
        let obstacle = if live.is_none() {
            Some(Reason::NotLive)
        } else if let Some(remark) = options.error() {
            Some(Reason::InvalidOption(Box::new(remark.clone())))
        } else if let Err(error) = &filter {
            Some(Reason::of_selection_error(error))
        } else {
            range.err().map(|error| Reason::InvalidConstraint {
                constraint: constraint.into(),
                error,
            })
        };
        let replaced = options.kustomize_image_name.as_deref();
        Self {
            replaced: replaced.and_then(kustomize::read_replaced),
            entry,
            live,
            filter: filter.ok(),
            options,
            obstacle,
        }
    }

    /// The constraint of the entry: a range, a tag's name, or empty (step 4).
    pub fn constraint(&self) -> &str {
        self.entry.tag_name()
    }

    /// Where the image's own credentials come from, if it has some (step 6).
    pub fn pull_secret(&self) -> Option<&CredentialSource> {
        let reference = self.options.pull_secret.as_ref();
        reference.map(|reference| &reference.source)
    }

    /// What has to be looked up at a registry whose tag lists are sorted like that; `None` when nothing has.
    pub fn need(&self, sort: TagListSort) -> Option<Need<'_>> {
        if self.obstacle.is_some() {
            return None;
        }
        let dates = TagDates::of(self.options.strategy, sort);
        Some(match (self.options.strategy, dates) {
            (Strategy::Digest, _) => Need::Digest(self.constraint()),
            (Strategy::NewestBuild, TagDates::Manifests) => Need::Created,
            (Strategy::NewestBuild | Strategy::Semver | Strategy::Alphabetical, _) => Need::Tags,
        })
    }

    /// The filter between the listing and the selection; `None` when an obstacle stands in the way.
    pub fn filter(&self) -> Option<&TagFilter> {
        self.filter.as_ref()
    }

    /// The tag that runs; both parts are empty when it is not known (step 2).
    pub fn running(&self) -> Tag {
        let live = self.live.as_ref();
        live.and_then(|live| live.tag.clone()).unwrap_or_default()
    }

    /// The Helm parameters that hold the image.
    pub fn helm_names(&self) -> HelmNames<'_> {
        self.options.helm.names()
    }

    /// The image of the manifests that it replaces in Kustomize: a configured one, else itself (`images.md` 11.2).
    pub(super) fn target(&self) -> &Image {
        self.replaced.as_ref().unwrap_or(&self.entry)
    }
}

impl Reason {
    /// The reason of a selection that is not possible.
    pub(super) fn of_selection_error(error: &SelectionError) -> Self {
        match error {
            SelectionError::RunningTagNoVersion { tag } => Self::RunningTagNotAVersion {
                tag: tag.as_str().into(),
            },
            SelectionError::BadConstraint { constraint, error } => Self::InvalidConstraint {
                constraint: constraint.as_str().into(),
                error: error.clone(),
            },
            SelectionError::NoConstraintTag => Self::NoConstraintTag,
        }
    }
}

/// The live image that fits the entry's constraint, else the first of its name (D-32).
fn pick_live<'a>(
    live: &'a [Image],
    entry: &Image,
    fits: impl Fn(&Image) -> bool,
) -> Option<&'a Image> {
    let mut first = None;
    let mut others = 0;
    for at in find_all_live(live, entry) {
        let image = live.get(at)?;
        if first.is_none() {
            first = Some(image);
        } else {
            others += 1;
        }
    }
    if others == 0 {
        return first;
    }
    let mut all = find_all_live(live, entry).filter_map(|at| live.get(at));
    all.find(|image| fits(image)).or(first)
}

/// How the application's changes are written (`images.md` 4.2, D-57).
fn method_of(app: &Application) -> Result<WriteBackMethod, Refusal> {
    let method = WriteBackMethod::parse(app.annotations.value(WRITE_BACK_METHOD))
        .map_err(Refusal::Method)?;
    let branch = app.annotations.value(GIT_BRANCH).unwrap_or("").trim();
    match &method {
        WriteBackMethod::Git(_) if branch.split(':').count() > 2 => Err(Refusal::GitBranch(
            branch.chars().take(80).collect::<Box<str>>(),
        )),
        WriteBackMethod::Git(_) | WriteBackMethod::Argocd => Ok(method),
    }
}

/// Helm parameters that several live images write (D-33).
fn shared_parameters(images: &[ImagePlan]) -> Vec<PlanWarning> {
    let mut writers: Vec<(&str, usize)> = Vec::new();
    for (at, image) in images.iter().enumerate() {
        if image.live.is_none() {
            continue;
        }
        match image.helm_names() {
            HelmNames::Spec(spec) => writers.push((spec, at)),
            HelmNames::NameAndTag { name, tag } => writers.extend([(name, at), (tag, at)]),
        }
    }
    writers.sort_unstable();
    writers.dedup();
    let text = |at: usize| images[at].entry.to_string().into_boxed_str();
    writers
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .take(WARNINGS_MAX)
        .map(|pair| PlanWarning::SharedHelmParameter {
            parameter: pair[0].0.into(),
            images: [text(pair[0].1), text(pair[1].1)],
        })
        .collect()
}

/// Live images whose target in Kustomize another one decides about (D-32).
fn shared_targets(images: &[ImagePlan], claims: &Claims) -> Vec<PlanWarning> {
    let shared = |(at, image): (usize, &ImagePlan)| {
        let owner = claims.owner_of(images, image.target())?;
        (owner != at && image.live.is_some()).then(|| PlanWarning::SharedKustomizeImage {
            target: image.target().full_name().into(),
            images: [&images[owner], image].map(|image| image.entry.to_string().into()),
        })
    };
    let shared = images.iter().enumerate().filter_map(shared);
    shared.take(WARNINGS_MAX).collect()
}
