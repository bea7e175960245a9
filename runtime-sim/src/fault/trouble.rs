//! One thing that a registry, or the way to it, can do wrong.

use image_updater_fixtures::Request;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// An error of this status instead of the answer. A 401 brings the registry's own challenge.
    Status(u16),
    /// 429, asking to be left alone.
    Throttled(Throttle),
    /// The connection ends before the registry saw the request.
    ResetBefore,
    /// The connection ends in the middle of the answer.
    ResetMid,
    /// The body ends in the middle.
    Truncated,
    /// A page of tags links to itself.
    Loop,
    /// A later page of tags holds what the first one held.
    Repeat,
    /// A page of tags is in another order.
    Shuffled,
    /// A page of tags is as it once was.
    Stale,
    /// A conditional request is answered with 304, whatever changed.
    Unchanged,
    /// The digest in the header is another one than the body's.
    WrongDigest,
    /// This machine has no local port left.
    NoPort,
    /// No answer until the core cancels.
    Hang,
    /// No answer; the driver gives up at its own time limit.
    TimesOut,
    /// The answer takes so many seconds more.
    Slow(u32),
    /// Nothing passes until the window ends.
    Clog,
}

/// How a registry asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// It does not say for how long.
    Bare,
    /// `Retry-After` in seconds.
    Seconds(u32),
    /// `Retry-After` as a date so many seconds ahead.
    Date(u32),
    /// `Retry-After` as a date that is over.
    Past,
    /// `Retry-After` of eleven days.
    Huge,
    /// In words, in milliseconds.
    HintMillis(u32),
}

/// Which requests a trouble is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Every request.
    All,
    /// Everything but tokens.
    Content,
    /// Pages of tag lists.
    Lists,
    /// One page of tag lists, counted from 1.
    Page(u32),
    /// Manifests.
    Manifests,
    /// Config blobs.
    Blobs,
    /// Tokens.
    Tokens,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A page of a tag list.
    List,
    /// A manifest.
    Manifest,
    /// A config blob.
    Blob,
    /// The base, `/v2/`.
    Base,
    /// A token: everything that is none of the others.
    Token,
}

impl Part {
    /// What `asked` is for.
    pub fn of(asked: &Request) -> Self {
        let path = asked.path();
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::Token;
        };
        if rest.is_empty() {
            Self::Base
        } else if rest.ends_with("/tags/list") {
            Self::List
        } else if rest.contains("/manifests/") {
            Self::Manifest
        } else if rest.contains("/blobs/") {
            Self::Blob
        } else {
            Self::Token
        }
    }
}

impl Place {
    /// True for a request for `part`, which is page number `page` if it is a page.
    pub fn covers(self, part: Part, page: u32) -> bool {
        match self {
            Self::All => true,
            Self::Content => part != Part::Token,
            Self::Lists => part == Part::List,
            Self::Page(wanted) => part == Part::List && page == wanted,
            Self::Manifests => part == Part::Manifest,
            Self::Blobs => part == Part::Blob,
            Self::Tokens => part == Part::Token,
        }
    }
}
