//! What registries are asked, by kind; and what the old scheme asks for the same fleet.

use std::ops::Sub;

use image_updater_fixtures::Request;

use crate::fleet::FleetSize;
use crate::workload::ImagePolicy;

/// Requests by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Is this a registry? (`/v2/`)
    pub pings: u64,
    /// Tokens.
    pub tokens: u64,
    /// Pages of tag lists.
    pub pages: u64,
    /// Digests of tags, by HEAD.
    pub heads: u64,
    /// Manifests.
    pub manifests: u64,
    /// Config blobs.
    pub blobs: u64,
}

impl Traffic {
    /// The kinds with their names, in the order of a look-up.
    pub const fn kinds(self) -> [(&'static str, u64); 6] {
        [
            ("ping", self.pings),
            ("token", self.tokens),
            ("tag page", self.pages),
            ("digest (HEAD)", self.heads),
            ("manifest", self.manifests),
            ("config blob", self.blobs),
        ]
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.kinds().iter().map(|(_, n)| n).sum()
    }

    /// Counts one request.
    pub(crate) fn count(&mut self, request: &Request) {
        let path = request.path();
        let kind = if path == "/v2/" {
            &mut self.pings
        } else if path.ends_with("/tags/list") {
            &mut self.pages
        } else if path.contains("/manifests/") && request.method == "HEAD" {
            &mut self.heads
        } else if path.contains("/manifests/") {
            &mut self.manifests
        } else if path.contains("/blobs/") {
            &mut self.blobs
        } else {
            &mut self.tokens
        };
        *kind += 1;
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            pings: self.pings - before.pings,
            tokens: self.tokens - before.tokens,
            pages: self.pages - before.pages,
            heads: self.heads - before.heads,
            manifests: self.manifests - before.manifests,
            blobs: self.blobs - before.blobs,
        }
    }
}

/// What the fake registries of a fleet are like, as far as the number of requests depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Registries {
    /// Tags on one page.
    pub page_tags: u64,
    /// Life of a token.
    pub token_secs: u64,
    /// Repositories whose registry wants tokens.
    pub tokened: u64,
}

/// What the scheme of the Go program asks for the same fleet in one interval (`registry.md` 1.2): for each
/// image a ping and the whole list; under `newest-build` manifest and config of each tag that its cache does
/// not have, which is every tag at first and none later; under `digest` manifest and config of the tag each
/// time; a token per repository and life of a token.
///
/// Applications that ask at the same moment may share an answer there, of which all but two get an empty one
/// (D-01); that is left out, it saves nothing that was not needed.
pub fn reference(size: FleetSize, registries: Registries, is_first: bool) -> Traffic {
    let (apps, repos) = (u64::from(size.applications), u64::from(size.repositories));
    let tags = u64::from(size.tags);
    let per_image = match size.policy {
        Some(ImagePolicy::Digest) => 1,
        Some(
            ImagePolicy::NewestBuild
            | ImagePolicy::Any
            | ImagePolicy::Minor(..)
            | ImagePolicy::Alphabetical,
        )
        | None => 0,
    };
    let dated = if is_first && size.policy == Some(ImagePolicy::NewestBuild) {
        repos * tags
    } else {
        0
    };
    let tokens = if is_first {
        registries.tokened
    } else {
        registries.tokened * size.interval.as_secs() / registries.token_secs
    };
    Traffic {
        pings: apps,
        tokens,
        pages: apps * tags.div_ceil(registries.page_tags),
        heads: 0,
        manifests: apps * per_image + dated,
        blobs: apps * per_image + dated,
    }
}
