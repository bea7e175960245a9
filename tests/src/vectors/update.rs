//! Vectors of the room `update`.

use image_updater_core::app::{Application, Parameter};
use image_updater_core::image::{Image, Platform, Strategy, Tag};
use image_updater_core::time::UnixTime;
use image_updater_core::update::kustomize::{find_same_entry, is_same_entry, merge_overrides};
use image_updater_core::update::{
    Claim, Decision, FailureKind, ImagePlan, ImageSpec, Lookup, Plan, PutImage, TagFacts,
    TagListing, WriteBack, decide, event_annotations, helm, needs_update,
};
use serde_json::{Map, Value, json};

use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    let run: Runner = match (file, group) {
        ("images", "helm_parameter_merge") => |case| reply(case, &helm_merge(case.input)),
        ("images", "helm_parameter_update") => |case| reply(case, &helm_update(case.input)),
        ("images", "kustomize_image_update") => |case| reply(case, &kustomize_update(case.input)),
        ("images", "helm_current_image" | "kustomize_current_image") => {
            |case| reply(case, &current_image(case.input))
        }
        ("images", "kustomize_image_match") => |case| reply(case, &kustomize_match(case.input)),
        ("images", "kustomize_image_find") => |case| reply(case, &kustomize_find(case.input)),
        ("images", "kustomize_override_merge") => kustomize_override_merge,
        ("images", "needs_update") => |case| reply(case, &is_update_needed(case.input)),
        ("images", "update_flow") => |case| reply(case, &update_flow(case.input)),
        _ => return None,
    };
    Some(run)
}

fn reply(case: &Case<'_>, got: &Value) -> Verdict {
    Verdict::of(case, got)
}

fn helm_merge(input: &Value) -> Value {
    let mut parameters = parameters(&input["existing"]);
    helm::merge(&mut parameters, &self::parameters(&input["merge"]));
    json!({"parameters": parameter_values(&parameters)})
}

fn helm_update(input: &Value) -> Value {
    match image_update(input) {
        Some(ImageSpec::Helm(list)) => json!({"parameters": parameter_values(&list)}),
        Some(ImageSpec::Kustomize(_)) | None => json!({"error": true}),
    }
}

fn kustomize_update(input: &Value) -> Value {
    match image_update(input) {
        Some(ImageSpec::Kustomize(list)) => json!({"images": list}),
        Some(ImageSpec::Helm(_)) | None => json!({"error": true}),
    }
}

fn image_update(input: &Value) -> Option<ImageSpec> {
    let app = application(&input["application"]);
    let (entry, image) = (entry_plan(&app, input), image(&input["new_image"]));
    let mut spec = ImageSpec::of(&app).ok()?;
    spec.put(put(&entry, &image));
    Some(spec)
}

fn current_image(input: &Value) -> Value {
    let app = application(&input["application"]);
    let (entry, image) = (entry_plan(&app, input), image(&input["new_image"]));
    let current = ImageSpec::of(&app).map(|spec| spec.current_image(put(&entry, &image)));
    current.map_or_else(
        |_| json!({"error": true}),
        |current| json!({ "current": current }),
    )
}

fn kustomize_match(input: &Value) -> Value {
    json!({"exact": is_same_entry(text(&input["a"]), text(&input["b"]))})
}

fn kustomize_find(input: &Value) -> Value {
    let list: Vec<&str> = items(&input["list"]).map(text).collect();
    let index = find_same_entry(&list, text(&input["image"]));
    json!({"exact_index": index.map_or(json!(-1), |index| json!(index))})
}

fn kustomize_override_merge(case: &Case<'_>) -> Verdict {
    let images = |list: &Value| -> Vec<Image> { items(list).map(image).collect() };
    let mut merged = images(&case.input["existing"]);
    merge_overrides(&mut merged, &images(&case.input["new"]));
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts
    };
    let got = sorted(merged.iter().map(ToString::to_string).collect());
    let want = items(&case.expect["images"]).map(|one| text(one).to_owned());
    Verdict::from_bool(got == sorted(want.collect()), &json!({ "images": got }))
}

fn is_update_needed(input: &Value) -> Value {
    let mut entry = image(&input["image"]);
    entry.kustomize_image = input["kustomize_image"]
        .as_str()
        .map(|text| Box::new(Image::parse(text)));
    let needed = needs_update(
        strategy(&input["strategy"]),
        &entry,
        &image(&input["live_image"]),
        &tag(&input["live_tag"]),
        &tag(&input["latest"]),
    );
    json!({ "needs_update": needed })
}

fn strategy(value: &Value) -> Strategy {
    let parsed = Strategy::parse(text(value)).expect("a case names a strategy");
    parsed.strategy
}

fn update_flow(input: &Value) -> Value {
    let app = application(&input["application"]);
    let plan = if input["images"].is_null() {
        Plan::of(&app, &runtime())
    } else {
        Plan::of_entries(
            &app,
            items(&input["images"]).map(image).collect(),
            &runtime(),
        )
    };
    let repositories: Vec<Repository<'_>> = plan
        .images
        .iter()
        .map(|image| Repository::of(input, &image.entry))
        .collect();
    let decision = decide(&app, &plan, &|at| repositories[at].lookup());
    outcome(input, &app, &plan, &decision)
}

fn outcome(input: &Value, app: &Application, plan: &Plan, decision: &Decision) -> Value {
    let is_dry_run = input["dry_run"] == json!(true);
    let is_write = matches!(&decision.write, WriteBack::Patch(_) | WriteBack::Git) && !is_dry_run;
    let mut counters = decision.counters;
    if is_write && input["commit"] == json!("error") {
        counters.on_write_failed();
    }
    let is_told = is_write && input["commit"] == json!("ok");
    let changes: Vec<Value> = decision
        .changes
        .iter()
        .map(|change| {
            json!({
                "image": change.image.full_name(),
                "alias": change.image.alias,
                "old": change.old.to_string(),
                "new": change.new.to_string(),
            })
        })
        .collect();
    json!({
        "counts": {
            "applications": counters.n_applications,
            "considered": counters.n_considered,
            "updated": counters.n_updated,
            "skipped": counters.n_skipped,
            "errors": counters.n_errors,
        },
        "write_back": is_write,
        "changes": changes,
        "spec": match decision.to_spec(app, plan) {
            Ok(ImageSpec::Helm(list)) => json!({"helm_parameters": parameter_values(&list)}),
            Ok(ImageSpec::Kustomize(list)) => json!({"kustomize_images": list}),
            Err(_) => json!({}),
        },
        "event": is_told.then(|| {
            let pairs = event_annotations(&decision.changes).into_iter();
            Value::Object(pairs.map(|(key, value)| (key, Value::from(value))).collect::<Map<_, _>>())
        }),
    })
}

/// One repository of a case's registry, as one image sees it.
struct Repository<'a> {
    tags: &'a Value,
    has_no_credentials: bool,
}

impl<'a> Repository<'a> {
    fn of(input: &'a Value, entry: &Image) -> Self {
        let name = entry.full_name();
        let is_named = |one: &Value| *one == json!(name) || *one == json!(entry.name);
        Self {
            has_no_credentials: items(&input["credentials_error"]).any(is_named),
            tags: &input["registry"][&name],
        }
    }

    fn lookup(&self) -> Lookup<'_> {
        if self.has_no_credentials {
            return Lookup::Failed(FailureKind::Credential, "no such secret");
        }
        match (self.tags, self.tags["error"].as_str()) {
            (Value::Array(_), _) => Lookup::Tags(self),
            (_, Some("client")) => Lookup::Failed(FailureKind::Registry, "no client"),
            _ => Lookup::Failed(FailureKind::Listing, "no tags"),
        }
    }
}

impl TagListing for Repository<'_> {
    fn n_tags(&self) -> usize {
        items(self.tags).count()
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(items(self.tags).map(|tag| text(&tag["name"])))
    }

    fn facts(&self, name: &str) -> TagFacts<'_> {
        let found = items(self.tags).find(|tag| tag["name"] == json!(name));
        let Some(tag) = found else {
            return TagFacts::Failed("not read");
        };
        match tag["metadata"].as_str() {
            None => TagFacts::Known {
                created: tag["created"].as_i64().map(UnixTime::from_secs),
                digest: tag["digest"].as_str().unwrap_or_default(),
            },
            Some("no-platform") => TagFacts::NotUsable("no image"),
            Some(_) => TagFacts::Failed("not read"),
        }
    }
}

/// The plan of the case's image, for its options.
fn entry_plan(app: &Application, input: &Value) -> ImagePlan {
    let entries = Vec::from([image(&input["new_image"])]);
    let mut plan = Plan::of_entries(app, entries, &runtime());
    plan.images.remove(0)
}

fn put<'a>(entry: &'a ImagePlan, image: &'a Image) -> PutImage<'a> {
    PutImage {
        image,
        helm_names: entry.helm_names(),
        replaced: entry.replaced.as_ref(),
        claim_of: &|_| Claim::Free,
    }
}

fn runtime() -> Platform {
    Platform::new("linux", "amd64")
}

fn application(value: &Value) -> Application {
    serde_json::from_value(value.clone()).expect("an object is always read")
}

/// An image as a text, or in its parts.
fn image(value: &Value) -> Image {
    match value.as_str() {
        Some(text) => Image::parse(text),
        None => Image {
            alias: text(&value["alias"]).to_owned(),
            registry: text(&value["registry"]).to_owned(),
            name: text(&value["name"]).to_owned(),
            tag: value["tag"].is_object().then(|| tag(&value["tag"])),
            ..Image::default()
        },
    }
}

fn tag(value: &Value) -> Tag {
    Tag {
        name: text(&value["name"]).to_owned(),
        digest: text(&value["digest"]).to_owned(),
    }
}

fn parameters(value: &Value) -> Vec<Parameter> {
    items(value)
        .map(|one| Parameter {
            name: text(&one["name"]).into(),
            value: text(&one["value"]).into(),
            force_string: one["forceString"] == json!(true),
        })
        .collect()
}

fn parameter_values(parameters: &[Parameter]) -> Vec<Value> {
    let value = |one: &Parameter| {
        let mut value = json!({"name": &*one.name, "value": &*one.value});
        if one.force_string {
            value["forceString"] = json!(true);
        }
        value
    };
    parameters.iter().map(value).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
