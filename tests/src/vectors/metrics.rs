//! Runners for the series of metrics and how they go.

use std::collections::BTreeSet;

use image_updater_core::app::Application;
use image_updater_core::effect::Effect;
use image_updater_core::http::{HttpOutcome, HttpResponse};
use image_updater_core::id::AppKey;
use image_updater_core::input::{ClusterInput, Input};
use image_updater_core::keyed::Seed;
use image_updater_core::metrics::{FamilyId, Value as Number};
use image_updater_core::time::Now;
use image_updater_core::{Config, OpId, Updater};
use image_updater_fixtures::AppSpec;
use serde_json::{Value, json};

use super::{Case, Runner, Verdict};
use crate::world::{World, record};

/// The runner of `group` in `file`.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    match (file, group) {
        ("registry", "metrics_gc") => Some(passes),
        ("ops", "metrics_gc") => Some(listings),
        _ => None,
    }
}

fn passes(case: &Case<'_>) -> Verdict {
    let Some(passes) = case.input["passes"].as_array() else {
        return late_worker(case);
    };
    let mut core = Core::new();
    let steps: Vec<Step> = passes.iter().map(|pass| core.list(pass)).collect();
    let deleted: Vec<_> = steps.iter().map(|step| &step.deleted).collect();
    let watched: Vec<_> = steps.iter().map(|step| step.watched).collect();
    Verdict::of(case, &json!({"deleted": deleted, "watched": watched}))
}

fn listings(case: &Case<'_>) -> Verdict {
    let Some(listings) = case.input["listings"].as_array() else {
        return Verdict::Failed("no listings".to_owned());
    };
    let mut core = Core::new();
    let steps = listings.iter().map(|listing| {
        let step = core.list(listing);
        json!({"deleted": step.deleted, "applications_watched_total": step.watched})
    });
    let steps: Vec<Value> = steps.collect();
    Verdict::of(case, &json!({"steps": steps}))
}

/// A check is under way when the listing comes that its application is missing from.
fn late_worker(case: &Case<'_>) -> Verdict {
    let mut core = Core::new();
    core.list(&json!(["a/x"]));
    let requests = core.requests();
    core.list(&json!([]));
    for op in requests {
        let response = HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: br#"{"tags":["1.0.0"]}"#.to_vec(),
        };
        core.tell(Input::Http(op, HttpOutcome::Response(response)));
    }
    let present = !core.applications().is_empty();
    Verdict::of(case, &json!({"series_present_after_worker_ends": present}))
}

/// What a listing led to.
struct Step {
    deleted: Vec<String>,
    watched: u64,
}

/// The core, told of listings.
struct Core {
    updater: Updater,
    now: Now,
}

impl Core {
    fn new() -> Self {
        let now = Now::default();
        let config = Config::new(World::settings()).expect("a test's settings are valid");
        Self {
            updater: Updater::new(config, Seed(1), now),
            now,
        }
    }

    fn tell(&mut self, input: Input) {
        self.updater.handle_input(self.now, input);
        while self
            .updater
            .poll_timeout()
            .is_some_and(|wakeup| wakeup.at <= self.now.mono)
        {
            self.updater.handle_timeout(self.now);
        }
    }

    /// A listing that names these keys; anything but a list of keys is one that failed.
    fn list(&mut self, listing: &Value) -> Step {
        let before = self.applications();
        self.tell(Input::Cluster(ClusterInput::ResetBegun));
        if let Some(keys) = listing.as_array() {
            for key in keys.iter().filter_map(Value::as_str) {
                let app = Box::new(application(key));
                self.tell(Input::Cluster(ClusterInput::Applied(app)));
            }
            self.tell(Input::Cluster(ClusterInput::ResetDone));
        }
        let after = self.applications();
        Step {
            deleted: before.difference(&after).cloned().collect(),
            watched: self.watched(),
        }
    }

    fn requests(&mut self) -> Vec<OpId> {
        let effects = std::iter::from_fn(|| self.updater.poll_effect());
        let ops = effects.filter_map(|effect| match effect {
            Effect::Http(op, _) => Some(op),
            Effect::ReadCredential(..)
            | Effect::Cluster(..)
            | Effect::Git(..)
            | Effect::Cancel(_) => None,
        });
        ops.collect()
    }

    /// All values of the label `application`.
    fn applications(&self) -> BTreeSet<String> {
        let samples = self.updater.metrics().samples();
        let labels = samples.flat_map(|sample| sample.labels());
        let own = labels.filter(|(name, _)| *name == "application");
        own.map(|(_, value)| value.to_string()).collect()
    }

    fn watched(&self) -> u64 {
        let mut samples = self
            .updater
            .metrics()
            .samples_of(FamilyId::ApplicationsWatched);
        match samples.next().map(|sample| sample.value) {
            Some(Number::Integer(value)) => value,
            Some(Number::Histogram(_)) | None => 0,
        }
    }
}

fn application(key: &str) -> Application {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    let key = AppKey::new(namespace, name);
    let spec = AppSpec::helm(&key.namespace, &key.name).image("r.test/org/web", "1.0.0");
    let mut object = spec.to_json();
    object["metadata"]["uid"] = json!(format!("uid-of-{key}"));
    object["metadata"]["resourceVersion"] = json!("1");
    record(&object)
}
