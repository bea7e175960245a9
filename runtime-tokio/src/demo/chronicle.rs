//! What the updater told of itself, kept by Application, for the demo to show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image_updater_core::event::Event;
use image_updater_core::update::Reason;
use image_updater_sim::wire::Wire;

/// Everything told so far. Whoever waits on the wire looks again after each event.
#[derive(Debug)]
pub(super) struct Chronicle {
    told: Mutex<Told>,
    wire: Arc<Wire>,
}

/// What was told, by the Application's name.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last decision per list entry.
    reasons: BTreeMap<(String, String), Reason>,
    /// The last decision to move, per list entry; forgotten between acts.
    moves: BTreeMap<(String, String), Reason>,
    /// Code and text of why nothing is written.
    pub(super) refusals: BTreeMap<String, (&'static str, String)>,
    /// Why it takes no part.
    pub(super) ignored: BTreeMap<String, String>,
    /// How often it was decided again without a check of its own.
    pub(super) redecided: BTreeMap<String, u64>,
    /// Operations that were never answered: the runtime is broken.
    pub(super) stalled: u64,
}

impl Chronicle {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        Self {
            told: Mutex::default(),
            wire,
        }
    }

    /// What was told so far.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event.
    pub(super) fn on_event(&self, event: &Event) {
        self.told().on_event(event);
        // Nothing changes; but what somebody waits for may be true now.
        self.wire.with_world(|_| ());
    }
}

impl Told {
    /// The last decision about `image`, its full name without tag.
    pub(super) fn reason(&self, app: &str, image: &str) -> Option<&Reason> {
        of_image(&self.reasons, app, image)
    }

    /// The last decision to move `image`.
    pub(super) fn move_of(&self, app: &str, image: &str) -> Option<&Reason> {
        of_image(&self.moves, app, image)
    }

    /// Forgets the moves: an act begins.
    pub(super) fn forget_moves(&mut self) {
        self.moves.clear();
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::ImageDecided { key, image, reason } => {
                let entry = (key.name.to_string(), image.to_string());
                if matches!(reason, Reason::Updated { .. }) {
                    self.moves.insert(entry.clone(), reason.clone());
                }
                self.reasons.insert(entry, reason.clone());
            }
            Event::WriteRefused { key, refusal } => {
                let said = (refusal.code(), refusal.to_string());
                self.refusals.insert(key.name.to_string(), said);
            }
            Event::ApplicationIgnored { key, reason } => {
                self.ignored
                    .insert(key.name.to_string(), reason.to_string());
            }
            Event::Redecided { key, .. } => {
                *self.redecided.entry(key.name.to_string()).or_default() += 1;
            }
            Event::OperationStalled { .. } => self.stalled += 1,
            Event::ApplicationConsidered { .. }
            | Event::ApplicationMalformed { .. }
            | Event::ApplicationDeleted { .. }
            | Event::ApplicationRefused { .. }
            | Event::Synced { .. }
            | Event::CheckStarted { .. }
            | Event::CheckFinished { .. }
            | Event::DryRun { .. }
            | Event::Written { .. }
            | Event::Published { .. }
            | Event::AlreadyPublished { .. }
            | Event::Batch(_)
            | Event::MessageNotRendered { .. }
            | Event::WriteFailed { .. }
            | Event::Schedule(_)
            | Event::Registry(_)
            | Event::RegistriesReloaded { .. }
            | Event::RegistriesRefused { .. }
            | Event::ShutdownBegun { .. }
            | Event::Stopped { .. } => {}
        }
    }
}

fn of_image<'a>(
    reasons: &'a BTreeMap<(String, String), Reason>,
    app: &str,
    image: &str,
) -> Option<&'a Reason> {
    let of_app = reasons.iter().filter(|((name, _), _)| name == app);
    let mut fitting = of_app.filter(|((_, entry), _)| {
        // `alias=host/name:constraint`, of which the constraint may be missing.
        let entry = entry
            .split_once('=')
            .map_or(entry.as_str(), |(_, entry)| entry);
        let rest = entry.strip_prefix(image);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    fitting.next().map(|(_, reason)| reason)
}
