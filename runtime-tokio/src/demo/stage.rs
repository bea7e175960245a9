//! The stage: acts change the world on it, and what is expected of them is waited for and shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::app::application::ANNOTATION_PREFIX;
use image_updater_core::update::Reason;
use image_updater_sim::wire::{SeenPatch, Wire, WireWorld};
use serde_json::Value;

use super::cast::{Cast, NAMESPACE};
use super::chronicle::{Chronicle, Told};
use super::expectation::{Expectation, Expected};
use super::paper::{Ink, Paper};
use crate::clock::stopwatch;

/// How long an act may take to come true.
const ACT_TIME_MAX: Duration = Duration::from_secs(8);

/// Everything an act needs.
pub(super) struct Stage<'a> {
    /// The world.
    pub(super) wire: &'a Wire,
    /// What the updater told.
    pub(super) chronicle: &'a Arc<Chronicle>,
    /// Where it is shown.
    pub(super) paper: &'a Paper,
    /// Who takes part.
    pub(super) cast: Cast,
    /// The Applications as they were first.
    first: BTreeMap<String, Value>,
    began: tokio::time::Instant,
    act_began: tokio::time::Instant,
    n_held: usize,
    failed: Vec<String>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        wire: &'a Wire,
        chronicle: &'a Arc<Chronicle>,
        paper: &'a Paper,
        cast: Cast,
    ) -> Self {
        let first = wire.with_world(|world| {
            let named = world.cluster.applications().map(|app| {
                let name = app["metadata"]["name"].as_str().unwrap_or_default();
                (name.to_owned(), Value::clone(app))
            });
            named.collect()
        });
        Self {
            wire,
            chronicle,
            paper,
            cast,
            first,
            began: stopwatch(),
            act_began: stopwatch(),
            n_held: 0,
            failed: Vec::new(),
        }
    }

    /// Begins an act, of which the world's part is `change`.
    pub(super) fn act(&mut self, title: &str, story: &str, change: impl FnOnce(&mut WireWorld)) {
        self.paper.heading(title, story);
        self.chronicle.told().forget_moves();
        self.act_began = stopwatch();
        self.wire.with_world(|world| {
            world.patches.clear();
            change(world);
        });
    }

    /// Waits until `condition` holds, or the act has taken too long.
    pub(super) async fn waits_for(
        &self,
        mut condition: impl FnMut(&mut WireWorld, &Told) -> bool,
    ) -> bool {
        let left = ACT_TIME_MAX.saturating_sub(self.act_began.elapsed());
        let found = self.wire.until(left, |world| {
            let told = self.chronicle.told();
            condition(world, &told).then_some(())
        });
        found.await.is_some()
    }

    /// Waits until all of them hold, and shows each with its reason and its patch.
    pub(super) async fn expect(&mut self, expectations: &[Expectation]) {
        let is_met = |world: &WireWorld, told: &Told, one: &Expectation| {
            one.is_met(world, told, self.first.get(&one.app))
        };
        self.waits_for(|world, told| expectations.iter().all(|one| is_met(world, told, one)))
            .await;
        let rows: Vec<Row> = self.wire.with_world(|world| {
            let told = self.chronicle.told();
            let row = |one: &Expectation| {
                let object = world.cluster.application(NAMESPACE, &one.app);
                let why = why(one, &told, object.map(|object| &**object));
                Row {
                    holds: is_met(world, &told, one),
                    app: one.app.clone(),
                    image: self.cast.short(&one.image),
                    outcome: outcome(one, &told),
                    why: self.cast.short(&why),
                    patches: patches_of(world, &one.app),
                }
            };
            expectations.iter().map(row).collect()
        });
        self.show(&rows);
    }

    /// Shows whether something beside the Applications' images is as expected.
    pub(super) fn expect_fact(&mut self, holds: bool, fact: &str) {
        self.paper.verdict(holds, &[(Ink::Plain, fact)]);
        self.count(holds, fact);
    }

    /// How long the act has taken so far.
    pub(super) fn act_elapsed(&self) -> Duration {
        self.act_began.elapsed()
    }

    /// Says how it went; true when every expectation held.
    pub(super) fn end(mut self) -> bool {
        let stalled = self.chronicle.told().stalled;
        if stalled > 0 {
            self.expect_fact(false, &format!("{stalled} operations were never answered"));
        }
        let took = seconds(self.began.elapsed());
        let n_all = self.n_held + self.failed.len();
        if self.failed.is_empty() {
            let text = format!("all {n_all} expectations held in {took}");
            self.paper.plain("");
            self.paper.line(&[(Ink::Green, &text)]);
            return true;
        }
        let text = format!(
            "{} of {n_all} expectations failed in {took}:",
            self.failed.len()
        );
        self.paper.plain("");
        self.paper.line(&[(Ink::Red, &text)]);
        for failed in &self.failed {
            self.paper.plain(&format!("  {failed}"));
        }
        false
    }

    fn show(&mut self, rows: &[Row]) {
        let width = |of: fn(&Row) -> &str| {
            rows.iter()
                .map(|row| of(row).chars().count())
                .max()
                .unwrap_or_default()
        };
        let (app_width, image_width) = (width(|row| &row.app), width(|row| &row.image));
        let outcome_width = width(|row| &row.outcome);
        let mut shown: Vec<&str> = Vec::new();
        for row in rows {
            let app = format!("{:app_width$}  ", row.app);
            let image = format!("{:image_width$}  ", row.image);
            let outcome = format!("{:outcome_width$}  ", row.outcome);
            let pieces = [
                (Ink::Bold, app.as_str()),
                (Ink::Plain, image.as_str()),
                (
                    if row.holds { Ink::Plain } else { Ink::Red },
                    outcome.as_str(),
                ),
                (Ink::Faint, row.why.as_str()),
            ];
            self.paper.verdict(row.holds, &pieces);
            // An Application of two images is patched once.
            if !shown.contains(&row.app.as_str()) {
                shown.push(&row.app);
                for line in &row.patches {
                    self.paper
                        .line(&[(Ink::Faint, &format!("          {}", self.cast.short(line)))]);
                }
            }
        }
        for row in rows {
            let what = format!("{} {}: {} ({})", row.app, row.image, row.outcome, row.why);
            self.count(row.holds, &what);
        }
    }

    fn count(&mut self, holds: bool, what: &str) {
        if holds {
            self.n_held += 1;
        } else {
            self.failed.push(what.to_owned());
        }
    }
}

/// One line of a table.
struct Row {
    holds: bool,
    app: String,
    image: String,
    outcome: String,
    why: String,
    patches: Vec<String>,
}

/// What became of the image, in a few words.
fn outcome(expectation: &Expectation, told: &Told) -> String {
    match &expectation.expected {
        Expected::Runs(wanted) => match told.move_of(&expectation.app, &expectation.image) {
            Some(Reason::Updated { old, new, .. }) if old.is_empty() => shortened(new),
            Some(Reason::Updated { old, new, .. }) => {
                format!("{} -> {}", shortened(old), shortened(new))
            }
            Some(_) | None => format!("runs {}", shortened(wanted)),
        },
        Expected::Stays(_) => "stays".to_owned(),
        Expected::Refused(_) => "not written".to_owned(),
        Expected::Ignored => "takes no part".to_owned(),
    }
}

/// Why, as the updater tells it.
fn why(expectation: &Expectation, told: &Told, object: Option<&Value>) -> String {
    let Expectation {
        app,
        image,
        expected,
    } = expectation;
    let last = || {
        told.reason(app, image)
            .map(|reason| format!("{}: {reason}", reason.code()))
    };
    let policy = policy(object, image);
    let told_by_updater = match expected {
        Expected::Runs(_) => match told.move_of(app, image) {
            Some(Reason::Updated { counts, .. }) => Some(format!("{policy}: {counts}")),
            Some(_) | None => last(),
        },
        Expected::Stays(_) => last(),
        Expected::Refused(_) => told
            .refusals
            .get(app)
            .map(|(code, text)| format!("{code}: {text}")),
        Expected::Ignored => told.ignored.get(app).cloned(),
    };
    told_by_updater.unwrap_or_else(|| "the updater said nothing of it".to_owned())
}

/// Strategy and constraint of `image`, from the Application's annotations.
fn policy(app: Option<&Value>, image: &str) -> String {
    let annotation = |key: &str| {
        let annotations = app.map(|app| &app["metadata"]["annotations"])?;
        annotations[format!("{ANNOTATION_PREFIX}{key}")].as_str()
    };
    let entries = annotation("image-list").unwrap_or_default().split(',');
    let mut entry = entries.filter_map(|entry| {
        let (alias, rest) = entry.split_once('=')?;
        Some((alias, rest.strip_prefix(image)?))
    });
    let (alias, constraint) = entry.next().unwrap_or_default();
    let strategy = annotation(&format!("{alias}.update-strategy"))
        .or_else(|| annotation("update-strategy"))
        .unwrap_or("semver");
    match constraint.strip_prefix(':') {
        Some(constraint) => format!("{strategy} {constraint}"),
        None => strategy.to_owned(),
    }
}

/// The patches of an Application, line by line.
fn patches_of(world: &WireWorld, app: &str) -> Vec<String> {
    let of_app = |patch: &&SeenPatch| patch.key.0 == NAMESPACE && patch.key.1 == app;
    world
        .patches
        .iter()
        .filter(of_app)
        .flat_map(patch_lines)
        .collect()
}

/// A patch, one line per operation; the guard becomes a remark.
pub(super) fn patch_lines(patch: &SeenPatch) -> Vec<String> {
    let Some(operations) = patch.operations.as_array() else {
        // Somebody else's: the updater sends operations.
        return vec![format!("merge patch {}", patch.operations)];
    };
    let is_guard = |operation: &&Value| operation["path"] == "/metadata/resourceVersion";
    let guard = operations.iter().find(is_guard);
    let version = guard
        .and_then(|guard| guard["value"].as_str())
        .unwrap_or("?");
    let refused = match patch.status {
        Some(200) => String::new(),
        Some(status) => format!(", answered with {status}"),
        None => ", not answered".to_owned(),
    };
    let head = format!("patch of version {version}{refused}");
    let lines = operations
        .iter()
        .filter(|operation| !is_guard(operation))
        .map(|operation| {
            let word = |member: &str| operation[member].as_str().unwrap_or_default();
            format!("  {} {} {}", word("op"), word("path"), operation["value"])
        });
    std::iter::once(head).chain(lines).collect()
}

/// A digest is long; its beginning says enough to a reader.
fn shortened(tag: &str) -> String {
    match tag.split_once("sha256:") {
        Some((before, digest)) => {
            let start: String = digest.chars().take(12).collect();
            format!("{before}sha256:{start}…")
        }
        None => tag.to_owned(),
    }
}

/// For people: seconds with one digit behind the point.
pub(super) fn seconds(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use image_updater_fixtures::AppSpec;
    use image_updater_sim::wire::WireWorld;

    use super::*;
    use crate::telemetry::Page;

    #[test]
    fn one_expectation_that_fails_fails_the_demo() {
        let wire = Arc::new(Wire::start(WireWorld::new(3)).expect("loopback has free ports"));
        let chronicle = Arc::new(Chronicle::new(Arc::clone(&wire)));
        let page = Page::default();
        let paper = Paper::plain_to(page.clone());
        let mut stage = Stage::new(&wire, &chronicle, &paper, Cast::new(&wire));
        stage.expect_fact(true, "water is wet");
        stage.expect_fact(false, "pigs fly");
        assert!(!stage.end());
        let text = page.to_text();
        assert!(
            text.starts_with("  ok      water is wet\n  FAILED  pigs fly\n"),
            "{text}"
        );
        assert!(text.contains("1 of 2 expectations failed in 0."), "{text}");
        assert!(text.ends_with(":\n  pigs fly\n"), "{text}");
    }

    #[test]
    fn a_policy_is_read_from_the_annotations_of_its_image() {
        let app = AppSpec::helm(NAMESPACE, "web")
            .image_with("r:1/org/web", "1", "~1")
            .image("r:1/org/api", "1")
            .annotation("api.update-strategy", "digest")
            .to_json();
        assert_eq!(policy(Some(&app), "r:1/org/web"), "semver ~1");
        assert_eq!(policy(Some(&app), "r:1/org/api"), "digest");
    }

    #[test]
    fn patches_are_shown_without_their_guard() {
        let patch = SeenPatch {
            number: 1,
            key: (NAMESPACE.to_owned(), "web".to_owned()),
            operations: serde_json::json!([
                { "op": "replace", "path": "/metadata/resourceVersion", "value": "7" },
                { "op": "add", "path": "/spec/a", "value": [1] },
            ]),
            status: Some(409),
        };
        let lines = patch_lines(&patch);
        assert_eq!(
            lines,
            ["patch of version 7, answered with 409", "  add /spec/a [1]"]
        );
    }
}
