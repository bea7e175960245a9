//! The watch of Applications: one task that turns the API server's view into inputs, for ever.
//!
//! - Whatever goes wrong, only a complete listing lets the core delete anything.
//! - It ends by itself only where one pass was asked for and the first listing does not come about.
//! - The API server is left in peace: after a short-lived attempt comes a growing pause, and where
//!   `watch` is not granted a listing at a bounded rate.
//!
//! ```text
//!            streaming list, or pages where that is refused
//!   Start ───────────────────────────────────────────────────► Resume(version) ◄─┐ stream ended
//!     ▲                                                          │   │           │
//!     └──────────────────────── 410 ─────────────────────────────┘   └───────────┘
//!   403 on watch: Poll ── list, pause, list … every tenth time: Resume(version)
//! ```

use std::time::Duration;

use image_updater_core::input::{ClusterInput, Input};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::{ClusterClient, encode};
use super::list::{give, list_applications};
use super::pace::Pace;
use super::stream::{WatchEvent, WatchStream};
use super::trouble::Trouble;
use crate::clock::stopwatch;

/// Shortest time between two listings where `watch` is not granted.
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// Listings before the watch is tried again.
const POLLS_PER_PROBE: u32 = 10;
/// Streaming lists broken off in a row before pages are tried.
const BROKEN_LISTS_MAX: u32 = 3;
/// Failures before the first listing after which a single pass is given up.
const FIRST_LISTING_FAILURES_MAX: u32 = 5;
/// No attempt at the first listing of a single pass begins later than this.
const FIRST_LISTING_AGE_MAX: Duration = Duration::from_mins(1);

/// Which Applications are watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchScope {
    /// One namespace; `None` for all.
    pub namespace: Option<String>,
    /// Label selector as the user wrote it; empty selects everything.
    pub label_selector: String,
    /// The check interval, zero for a single pass; where `watch` is not granted, four listings fit
    /// into one.
    pub interval: Duration,
}

impl WatchScope {
    /// The selector as part of a query, with its ampersand.
    pub(super) fn to_selector_query(&self) -> String {
        if self.label_selector.is_empty() {
            String::new()
        } else {
            format!("&labelSelector={}", encode(&self.label_selector))
        }
    }

    fn to_poll_interval(&self) -> Duration {
        (self.interval / 4).max(POLL_INTERVAL_MIN)
    }

    fn is_single_pass(&self) -> bool {
        self.interval.is_zero()
    }
}

/// Why the watch ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchEnd {
    /// Nobody takes the inputs any more: the process ends.
    Closed,
    /// A single pass has nothing to work on, for this reason: the first listing failed again and
    /// again. Where passes repeat, the watch goes on trying instead.
    NeverListed(String),
}

/// Watches until nobody takes the inputs any more, or a single pass has to be given up. Facts wait
/// in the bounded channel while the core is busy, and the stream waits with them.
pub async fn watch_applications(
    cluster: ClusterClient,
    scope: WatchScope,
    inputs: mpsc::Sender<Input>,
) -> WatchEnd {
    let patience = scope.is_single_pass().then(Patience::begin);
    let mut watch = Watch {
        cluster,
        scope,
        inputs,
        phase: Phase::Start,
        is_streaming_refused: false,
        n_broken_lists: 0,
        is_polling: false,
        is_granted: false,
        pace: Pace::default(),
        said: None,
        patience,
    };
    loop {
        match watch.on_turn().await {
            Next::After(pause) => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = watch.inputs.closed() => return WatchEnd::Closed,
            },
            Next::End(end) => return end,
        }
    }
}

/// What comes after an attempt.
enum Next {
    /// Another attempt, after this pause.
    After(Duration),
    /// Nothing.
    End(WatchEnd),
}

/// What comes next.
enum Phase {
    /// Nothing is known: list.
    Start,
    /// Everything up to this version is known: watch.
    Resume(String),
    /// Watching is not allowed: list, this many times before it is tried again.
    Poll(u32),
}

struct Watch {
    cluster: ClusterClient,
    scope: WatchScope,
    inputs: mpsc::Sender<Input>,
    phase: Phase,
    is_streaming_refused: bool,
    n_broken_lists: u32,
    /// The last try to watch was forbidden.
    is_polling: bool,
    /// The last try to watch was allowed.
    is_granted: bool,
    pace: Pace,
    /// The last complaint, so that it is said once.
    said: Option<String>,
    /// What is left for the first listing of a single pass; `None` from its end on, and where passes
    /// repeat.
    patience: Option<Patience>,
}

/// How long a single pass has waited for its first listing.
struct Patience {
    start: Instant,
    n_failures: u32,
}

impl Patience {
    fn begin() -> Self {
        Self {
            start: stopwatch(),
            n_failures: 0,
        }
    }

    /// One more failure, with a pause before the next attempt; true when there should be none.
    fn is_over(&mut self, pause: Duration) -> bool {
        self.n_failures += 1;
        let age = stopwatch().duration_since(self.start).saturating_add(pause);
        self.n_failures >= FIRST_LISTING_FAILURES_MAX || age > FIRST_LISTING_AGE_MAX
    }
}

impl Watch {
    /// One attempt.
    async fn on_turn(&mut self) -> Next {
        self.pace.on_attempt();
        let ended = match self.phase {
            Phase::Start if !self.is_streaming_refused => self.follow(None).await,
            Phase::Start => match self.list().await {
                Ok(version) => {
                    self.phase = Phase::Resume(version);
                    return Next::After(Duration::ZERO);
                }
                Err(trouble) => Err(trouble),
            },
            Phase::Resume(ref version) => {
                let version = version.clone();
                self.follow(Some(version)).await
            }
            Phase::Poll(n_left) => match self.list().await {
                Ok(_) if n_left > 1 => {
                    self.phase = Phase::Poll(n_left - 1);
                    return Next::After(self.scope.to_poll_interval());
                }
                Ok(version) => {
                    self.phase = Phase::Resume(version);
                    return Next::After(Duration::ZERO);
                }
                Err(trouble) => Err(trouble),
            },
        };
        match ended {
            Ok(()) => Next::After(self.pace.on_end(None)),
            Err(trouble) => self.on_trouble(trouble),
        }
    }

    async fn list(&mut self) -> Result<String, Trouble> {
        let version = list_applications(&self.cluster, &self.scope, &self.inputs).await?;
        self.patience = None;
        Ok(version)
    }

    /// Follows one watch to its end, from `version` or with a streaming list in front.
    async fn follow(&mut self, version: Option<String>) -> Result<(), Trouble> {
        let mut is_listing = version.is_none();
        let opened = WatchStream::open(&self.cluster, &self.scope, version.as_deref()).await;
        let mut stream = opened?;
        if is_listing {
            give(&self.inputs, ClusterInput::ResetBegun).await?;
        } else {
            self.on_in_order();
        }
        while let Some(event) = stream.take_next().await? {
            let reached = match event {
                WatchEvent::Applied(app) => {
                    let reached = app.resource_version.to_string();
                    give(&self.inputs, ClusterInput::Applied(app)).await?;
                    reached
                }
                WatchEvent::Deleted(app) => {
                    let reached = app.resource_version.to_string();
                    give(&self.inputs, ClusterInput::Deleted(app.key)).await?;
                    reached
                }
                WatchEvent::Bookmark {
                    version,
                    is_listing_end,
                } => {
                    if is_listing && is_listing_end {
                        is_listing = false;
                        self.patience = None;
                        give(&self.inputs, ClusterInput::ResetDone).await?;
                        self.on_in_order();
                    }
                    version
                }
                WatchEvent::Skipped => continue,
            };
            // Before the end of the list a version does not say that all before it is known.
            if !is_listing && !reached.is_empty() {
                self.phase = Phase::Resume(reached);
            }
        }
        if is_listing {
            return Err(Trouble::Broken(
                "the streaming list was broken off".to_owned(),
            ));
        }
        Ok(())
    }

    /// The stream is where every event is seen.
    fn on_in_order(&mut self) {
        self.pace.on_in_order();
        self.n_broken_lists = 0;
        self.is_polling = false;
        self.is_granted = true;
        if self.said.take().is_some() {
            tracing::info!("watching applications again");
        }
    }

    fn on_trouble(&mut self, trouble: Trouble) -> Next {
        let asked = trouble.asked();
        match trouble {
            Trouble::Closed => return Next::End(WatchEnd::Closed),
            Trouble::StreamingRefused(message) => {
                tracing::info!("listing applications by pages: {message}");
                self.is_streaming_refused = true;
                return Next::After(Duration::ZERO);
            }
            // For a moment after its start an API server knows no roles: what was allowed just now is
            // tried once more before a role is blamed.
            Trouble::WatchForbidden(_) if std::mem::take(&mut self.is_granted) => {}
            Trouble::WatchForbidden(message) => return Next::After(self.on_forbidden(&message)),
            Trouble::Expired => {
                if !matches!(self.phase, Phase::Poll(_)) {
                    self.phase = Phase::Start;
                }
            }
            Trouble::Throttled(_) => self.say("the API server asks to wait".to_owned()),
            Trouble::Broken(message) => {
                self.say(message);
                self.on_broken();
            }
            Trouble::Unreachable(message) => self.say(message),
        }
        let pause = self.pace.on_end(asked);
        let pause = if self.is_polling {
            pause.max(self.scope.to_poll_interval())
        } else {
            pause
        };
        // A single pass ends with its reason rather than never.
        let patience = self.patience.as_mut();
        if patience.is_some_and(|patience| patience.is_over(pause)) {
            let reason = self.said.take();
            let reason =
                reason.unwrap_or_else(|| "the listing expired while it was read".to_owned());
            return Next::End(WatchEnd::NeverListed(reason));
        }
        Next::After(pause)
    }

    /// Polls from now on. The first listing is due at once; a later try to watch comes right after
    /// a listing, and so the next one is due an interval later.
    fn on_forbidden(&mut self, message: &str) -> Duration {
        let interval = self.scope.to_poll_interval();
        self.say(format!(
            "{message}; until then applications are listed every {} s",
            interval.as_secs()
        ));
        self.phase = Phase::Poll(POLLS_PER_PROBE);
        if std::mem::replace(&mut self.is_polling, true) {
            interval
        } else {
            Duration::ZERO
        }
    }

    /// A server or proxy that never lets a streaming list end may let pages pass.
    fn on_broken(&mut self) {
        if !matches!(self.phase, Phase::Start) || self.is_streaming_refused {
            return;
        }
        self.n_broken_lists += 1;
        if self.n_broken_lists >= BROKEN_LISTS_MAX {
            self.is_streaming_refused = true;
        }
    }

    /// Complains once, and again when the complaint changes.
    fn say(&mut self, message: String) {
        if self.said.as_ref() != Some(&message) {
            tracing::warn!("cannot watch applications: {message}");
            self.said = Some(message);
        }
    }
}
