//! From a tag's manifest to its facts: which documents to fetch next, and what they add up to
//! (`registry.md` 8.3). A pure walk; whoever runs it fetches.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::digest::{ManifestDigest, is_digest_of};
use super::manifest::{self, Document};
use super::platform::PlatformKeySet;
use crate::time::UnixTime;

/// Most documents that are fetched for one tag.
const FETCHES_MAX: u32 = 128;
/// How deep indexes may be nested.
const DEPTH_MAX: u8 = 4;

/// What a lookup of a tag is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FactsKind {
    /// The digest, for strategy `digest`.
    Digest,
    /// The date, for strategy `newest-build`.
    Created,
}

/// What is known about a tag; `R` is how its reasons are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagFacts<R = Box<str>> {
    /// It is an image for a wanted platform.
    Usable {
        /// The digest of what the tag points to: a manifest or an index.
        digest: ManifestDigest,
        /// The newest date among wanted platforms; `None` where only the digest was asked for.
        created: Option<UnixTime>,
    },
    /// It holds nothing for a wanted platform: leave the tag out.
    OtherPlatform {
        /// The digest of what was found.
        digest: ManifestDigest,
    },
    /// It is broken for good, for the reason given: leave the tag out and say so (D-02).
    Unusable {
        /// The digest of what was found.
        digest: ManifestDigest,
        /// A sentence for people.
        reason: R,
    },
}

impl<R> TagFacts<R> {
    /// The digest of what the tag points to.
    pub fn digest(&self) -> ManifestDigest {
        match self {
            Self::Usable { digest, .. }
            | Self::OtherPlatform { digest }
            | Self::Unusable { digest, .. } => *digest,
        }
    }
}

/// What is kept about a tag, as it is read: without a text of its own.
pub type KnownFacts<'a> = TagFacts<&'a str>;

impl KnownFacts<'_> {
    /// The same with a text of its own.
    pub fn to_owned(&self) -> TagFacts {
        match *self {
            Self::Usable { digest, created } => TagFacts::Usable { digest, created },
            Self::OtherPlatform { digest } => TagFacts::OtherPlatform { digest },
            Self::Unusable { digest, reason } => TagFacts::Unusable {
                digest,
                reason: reason.into(),
            },
        }
    }
}

/// What the walk wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InspectionStep {
    /// Fetch a manifest by digest and hand it to [`Inspection::on_manifest`].
    Manifest(String),
    /// Fetch a config blob and hand it to [`Inspection::on_config`].
    Config(String),
    /// The walk is over.
    Done(TagFacts),
    /// A content does not have the digest that it was asked for by: fetch it again (D-22).
    Corrupt,
    /// What came for the tag is no manifest of any kind: a page of a proxy, an error with status 200, half a
    /// document. Unless its digest is confirmed, that says nothing about the tag (D-02): fetch it again.
    Garbled {
        /// The digest of what came.
        digest: ManifestDigest,
        /// What is wrong with it.
        reason: Box<str>,
    },
}

/// The walk from a tag's manifest to its facts.
#[derive(Clone, Debug)]
pub struct Inspection {
    platforms: PlatformKeySet,
    kind: FactsKind,
    /// The digest of the tag's own manifest, once it was read.
    root: Option<ManifestDigest>,
    /// The digest of what was signed, where the tag's own manifest is schema 1.
    signed: Option<ManifestDigest>,
    /// What is being fetched; `None` while it is the tag's own manifest.
    fetching: Option<String>,
    /// Children still to visit, last first, with their depth.
    pending: Vec<(String, u8)>,
    depth: u8,
    n_fetches: u32,
    newest: Option<UnixTime>,
}

impl Inspection {
    /// A walk that has seen nothing yet: the tag's own manifest is wanted first.
    pub fn new(kind: FactsKind, platforms: PlatformKeySet) -> Self {
        Self {
            platforms,
            kind,
            root: None,
            signed: None,
            fetching: None,
            pending: Vec::new(),
            depth: 0,
            n_fetches: 0,
            newest: None,
        }
    }

    /// Reads the manifest that was asked for: the tag's own, or one by digest.
    pub fn on_manifest(&mut self, content_type: Option<&str>, body: &[u8]) -> InspectionStep {
        if !self.is_as_asked(body) {
            return InspectionStep::Corrupt;
        }
        let document = manifest::read(content_type, body);
        let is_first = self.root.is_none();
        let mut root = *self.root.get_or_insert_with(|| ManifestDigest::of(body));
        if let (true, Ok(Document::Schema1 { digest, .. })) = (is_first, &document) {
            self.signed = Some(*digest);
            if self.kind == FactsKind::Digest {
                // An image can be pulled by this digest and not by the body's (D-12).
                root = *digest;
                self.root = Some(root);
            }
        }
        let document = match document {
            Ok(document) => document,
            Err(reason) => {
                let digest = root;
                return if is_first && !manifest::is_manifest(body) {
                    InspectionStep::Garbled { digest, reason }
                } else {
                    InspectionStep::Done(TagFacts::Unusable { digest, reason })
                };
            }
        };
        match document {
            Document::Image { config } => self.fetch_config(root, config),
            Document::Index(children) => self.on_index(root, children),
            Document::Schema1 { config, .. } => self.on_image(root, &config),
        }
    }

    /// Reads the config blob that was asked for.
    ///
    /// # Panics
    /// When no config was asked for.
    pub fn on_config(&mut self, body: &[u8]) -> InspectionStep {
        let root = self.root.expect("a config follows a manifest");
        if !self.is_as_asked(body) {
            return InspectionStep::Corrupt;
        }
        match manifest::read_config(body) {
            Ok(config) => self.on_image(root, &config),
            Err(reason) => InspectionStep::Done(TagFacts::Unusable {
                digest: root,
                reason,
            }),
        }
    }

    /// True when the tag's own manifest, which was read, has the digest that the registry claims (D-22):
    /// of its body, or of the signed part of schema 1.
    pub fn is_rightly_claimed(&self, claimed: ManifestDigest) -> bool {
        self.root == Some(claimed) || self.signed == Some(claimed)
    }

    fn is_as_asked(&self, body: &[u8]) -> bool {
        self.fetching
            .as_deref()
            .is_none_or(|digest| is_digest_of(digest, body))
    }

    fn on_index(&mut self, root: ManifestDigest, children: Vec<manifest::Child>) -> InspectionStep {
        let depth = self.depth + 1;
        if depth > DEPTH_MAX {
            return unusable(root, "indexes are nested too deeply");
        }
        let wanted: Vec<_> = children
            .into_iter()
            .filter(|child| child.is_wanted(&self.platforms))
            .collect();
        if wanted.len() > FETCHES_MAX as usize {
            return unusable(
                root,
                "the index holds too many images for the wanted platforms",
            );
        }
        if self.depth == 0 {
            if wanted.is_empty() {
                return InspectionStep::Done(TagFacts::OtherPlatform { digest: root });
            }
            if self.kind == FactsKind::Digest {
                return InspectionStep::Done(TagFacts::Usable {
                    digest: root,
                    created: None,
                });
            }
        }
        for (at, child) in wanted.iter().enumerate().rev() {
            // One image may stand for several platforms.
            if wanted[..at]
                .iter()
                .all(|other| other.digest != child.digest)
            {
                self.pending.push((child.digest.clone(), depth));
            }
        }
        self.visit_next(root)
    }

    /// A child's platform was tested on its descriptor and is not tested again (D-05).
    fn on_image(&mut self, root: ManifestDigest, config: &manifest::ImageConfig) -> InspectionStep {
        if self.depth == 0 && !config.is_wanted(&self.platforms) {
            return InspectionStep::Done(TagFacts::OtherPlatform { digest: root });
        }
        match config.created() {
            Ok(created) => self.newest = self.newest.max(Some(created)),
            Err(reason) => {
                return InspectionStep::Done(TagFacts::Unusable {
                    digest: root,
                    reason,
                });
            }
        }
        self.visit_next(root)
    }

    fn visit_next(&mut self, root: ManifestDigest) -> InspectionStep {
        match self.pending.pop() {
            Some((digest, depth)) => {
                self.depth = depth;
                if let Some(step) = self.count_fetch(root) {
                    return step;
                }
                self.fetching = Some(digest.clone());
                InspectionStep::Manifest(digest)
            }
            None => InspectionStep::Done(match self.newest {
                Some(created) => TagFacts::Usable {
                    digest: root,
                    created: Some(created),
                },
                None => TagFacts::OtherPlatform { digest: root },
            }),
        }
    }

    fn fetch_config(&mut self, root: ManifestDigest, digest: String) -> InspectionStep {
        if let Some(step) = self.count_fetch(root) {
            return step;
        }
        self.fetching = Some(digest.clone());
        InspectionStep::Config(digest)
    }

    fn count_fetch(&mut self, root: ManifestDigest) -> Option<InspectionStep> {
        self.n_fetches += 1;
        (self.n_fetches > FETCHES_MAX)
            .then(|| unusable(root, "the image is spread over too many documents"))
    }
}

fn unusable(digest: ManifestDigest, reason: &str) -> InspectionStep {
    InspectionStep::Done(TagFacts::Unusable {
        digest,
        reason: reason.into(),
    })
}
