//! The decision about one application: what becomes of every image, and what is written (`images.md` 10).
//!
//! Pure and cheap: nothing is allocated per tag, and the application's parameters are copied only when something
//! changes. Whatever is wrong with one image is that image's reason and nobody else's.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::change::Change;
use super::choice::choose;
use super::claim::Claim;
use super::listing::Lookup;
use super::needs::needs_update;
use super::plan::{ImagePlan, Plan};
use super::reason::{Reason, ReasonKind, TagCounts};
use super::refusal::Refusal;
use super::spec::{ImageSpec, PutImage, SpecError};
use crate::app::{Application, SourceKind, SourcePlace, WriteBackMethod};
use crate::effect::PatchOperation;
use crate::image::{Image, Strategy, Tag};

/// What was decided about one application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What became of every entry of the image list, in its order.
    pub images: Vec<Reason>,
    /// What is counted; as if the write succeeded.
    pub counters: Counters,
    /// What changes, in list order.
    pub changes: Vec<Change>,
    /// What is to be written.
    pub write: WriteBack,
}

/// What is to be written for an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteBack {
    /// Nothing.
    None,
    /// These operations, guarded by the resource version of the application that was decided upon.
    Patch(Vec<PatchOperation>),
    /// A commit with the changes.
    Git,
    /// Nothing, because of an error of the application.
    Refused(Refusal),
}

/// The counters of one run (`images.md` 10.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Applications looked at: one.
    pub n_applications: u64,
    /// Images that run.
    pub n_considered: u64,
    /// Images that move to another tag.
    pub n_updated: u64,
    /// Images that were passed over.
    pub n_skipped: u64,
    /// What went wrong.
    pub n_errors: u64,
}

impl Counters {
    /// The write failed or was refused: nothing was updated, and that is one more error (`images.md` 10.3 step 4).
    pub fn on_write_failed(&mut self) {
        self.n_updated = 0;
        self.n_errors += 1;
    }

    fn of(images: &[Reason]) -> Self {
        let mut counters = Self {
            n_applications: 1,
            ..Self::default()
        };
        for reason in images {
            counters.n_considered += u64::from(reason.is_considered());
            match reason.kind() {
                ReasonKind::Updated => counters.n_updated += 1,
                ReasonKind::Skipped => counters.n_skipped += 1,
                ReasonKind::Error => counters.n_errors += 1,
                ReasonKind::Quiet => {}
            }
        }
        counters
    }
}

/// Decides about `app` (`images.md` 10.1 steps 8 to 12, 10.2, 10.3 step 1).
///
/// `plan` is the plan of this very record; `lookup_of` answers with the outcome for the image at a position of the
/// plan and is asked at most once per image, not at all where the plan has an obstacle.
pub fn decide<'a>(
    app: &Application,
    plan: &Plan,
    lookup_of: &dyn Fn(usize) -> Lookup<'a>,
) -> Decision {
    if let Some(refusal) = &plan.refusal {
        let mut decision = Decision {
            images: Vec::new(),
            counters: Counters::of(&[]),
            changes: Vec::new(),
            write: WriteBack::None,
        };
        decision.refuse(refusal.clone());
        return decision;
    }
    let mut draft = Draft {
        app,
        plan,
        kind: app.source_kind(),
        spec: None,
        changes: Vec::new(),
    };
    let mut images = Vec::with_capacity(plan.images.len());
    for (at, image) in plan.images.iter().enumerate() {
        let reason = match &image.obstacle {
            Some(obstacle) => obstacle.clone(),
            None => match choose(image, &lookup_of(at)) {
                Ok((chosen, counts)) => draft.settle(at, &chosen, counts),
                Err(reason) => reason,
            },
        };
        images.push(reason);
    }
    draft.into_decision(images)
}

impl Decision {
    /// Writes nothing, for this reason: nothing was updated, and that is an error of the application (D-57).
    pub fn refuse(&mut self, refusal: Refusal) {
        for reason in &mut self.images {
            if let Reason::Updated { new, .. } = reason {
                *reason = Reason::Refused {
                    new: core::mem::take(new),
                    code: refusal.code(),
                };
            }
        }
        self.counters.on_write_failed();
        self.write = WriteBack::Refused(refusal);
    }

    /// The application's parameters with every image of the plan in them: what changes with its new tag, what is up
    /// to date with its running one (`images.md` 10.1 step 12b). Patches leave the latter alone (D-55).
    ///
    /// # Errors
    /// When the application's parameters cannot be read.
    pub fn to_spec(&self, app: &Application, plan: &Plan) -> Result<ImageSpec, SpecError> {
        let mut spec = ImageSpec::of(app)?;
        let mut changes = self.changes.iter();
        for (at, (image, reason)) in plan.images.iter().zip(&self.images).enumerate() {
            let put = |spec: &mut ImageSpec, new: &Image| {
                spec.put(put_of(image, new, &|other| plan.claim_of_others(at, other)))
            };
            let is_changed = matches!(reason, Reason::Updated { .. } | Reason::Refused { .. });
            if let Some(change) = is_changed.then(|| changes.next()).flatten() {
                put(&mut spec, &change.image);
            } else if matches!(reason, Reason::UpToDate { .. }) && plan.rival_of(at).is_none() {
                let mut running = image.running();
                if let ImageSpec::Helm(_) = spec
                    && image.options.strategy == Strategy::Digest
                    && running.name.is_empty()
                {
                    // Only the digest runs; the parameter shall name the tag that is followed (D-55).
                    running.name = image.constraint().into();
                }
                put(&mut spec, &image.entry.with_tag(&running));
            }
        }
        Ok(spec)
    }
}

/// A decision in the making.
struct Draft<'a> {
    app: &'a Application,
    plan: &'a Plan,
    kind: SourceKind,
    /// The application's parameters with the changes so far; made when the first change is met.
    spec: Option<ImageSpec>,
    changes: Vec<Change>,
}

impl Draft<'_> {
    /// What becomes of an image for which a tag was chosen (`images.md` 10.1 step 12).
    fn settle(&mut self, at: usize, chosen: &Tag, counts: TagCounts) -> Reason {
        let plan = self.plan;
        let (Some(image), Some(live)) = (
            plan.images.get(at),
            plan.images.get(at).and_then(|image| image.live.as_ref()),
        ) else {
            return Reason::NotLive;
        };
        if self.kind == SourceKind::Unsupported {
            return Reason::WrongSourceType {
                found: self.app.effective_source_type().into(),
            };
        }
        let running = image.running();
        if !needs_update(image.options.strategy, &image.entry, live, &running, chosen) {
            return Reason::UpToDate {
                running: running.to_string().into_boxed_str(),
                counts,
            };
        }
        if let Some(reason) = self.unwritable() {
            return reason;
        }
        let spec = match &mut self.spec {
            Some(spec) => spec,
            none => match ImageSpec::of(self.app) {
                Ok(spec) => none.insert(spec),
                Err(error) => return error.into(),
            },
        };
        let new = image.entry.with_tag(chosen);
        let others = |other: &Image| plan.claim_of_others(at, other);
        let put = put_of(image, &new, &others);
        let text = chosen.to_string().into_boxed_str();
        if spec.holds(put) {
            return Reason::AlreadyInSpec { new: text };
        }
        if let Some(rival) = plan.rival_of(at) {
            return Reason::SharedTarget {
                new: text,
                rival: rival.entry.to_string().into_boxed_str(),
            };
        }
        if !spec.put(put) {
            return Reason::AlreadyInSpec { new: text };
        }
        let old = running.to_string().into_boxed_str();
        self.changes.push(Change {
            image: new,
            old: running,
            new: chosen.clone(),
        });
        Reason::Updated {
            old,
            new: text,
            counts,
        }
    }

    /// Why the source cannot be written, if so (D-42).
    fn unwritable(&self) -> Option<Reason> {
        match self.app.selected_source()?.place {
            SourcePlace::Dry => match &self.plan.method {
                Ok(WriteBackMethod::Git(_)) => None,
                Ok(WriteBackMethod::Argocd) | Err(_) => Some(Reason::Hydrated),
            },
            SourcePlace::Single | SourcePlace::Listed(_) => None,
        }
    }

    fn into_decision(self, mut images: Vec<Reason>) -> Decision {
        let mut changes = self.changes;
        let mut write = WriteBack::None;
        if !changes.is_empty() {
            write = match &self.plan.method {
                Ok(WriteBackMethod::Git(_)) => WriteBack::Git,
                Ok(WriteBackMethod::Argocd) | Err(_) => {
                    let spec = self.spec.as_ref();
                    let operations = spec.map(|spec| spec.operations(self.app));
                    WriteBack::Patch(operations.unwrap_or_default())
                }
            };
        }
        if matches!(&write, WriteBack::Patch(operations) if operations.is_empty()) {
            // Images that share a parameter undid each other's changes (D-33).
            for reason in &mut images {
                if let Reason::Updated { new, .. } = reason {
                    *reason = Reason::AlreadyInSpec {
                        new: core::mem::take(new),
                    };
                }
            }
            changes.clear();
            write = WriteBack::None;
        }
        let mut decision = Decision {
            counters: Counters::of(&images),
            images,
            changes,
            write,
        };
        if let Err(refusal) = &self.plan.method {
            decision.refuse(refusal.clone());
        }
        decision
    }
}

impl From<SpecError> for Reason {
    fn from(error: SpecError) -> Self {
        match error {
            SpecError::WrongType => Self::WrongSourceType {
                found: Box::default(),
            },
            SpecError::NoSource => Self::NoSource,
            SpecError::Unreadable { path, detail } => Self::SourceUnreadable { path, detail },
        }
    }
}

/// True when the application's parameters hold all of `changes`, as `plan` writes them: a patch with
/// them was applied.
pub fn holds(app: &Application, plan: &Plan, changes: &[Change]) -> bool {
    let Ok(spec) = ImageSpec::of(app) else {
        return false;
    };
    changes.iter().all(|change| {
        plan.images.iter().enumerate().any(|(at, image)| {
            let claim_of = |other: &Image| plan.claim_of_others(at, other);
            image.entry.alias == change.image.alias
                && image.entry.is_same_repository(&change.image)
                && spec.holds(put_of(image, &change.image, &claim_of))
        })
    })
}

fn put_of<'a>(
    image: &'a ImagePlan,
    new: &'a Image,
    claim_of: &'a dyn Fn(&Image) -> Claim,
) -> PutImage<'a> {
    PutImage {
        image: new,
        helm_names: image.helm_names(),
        replaced: image.replaced.as_ref(),
        claim_of,
    }
}
