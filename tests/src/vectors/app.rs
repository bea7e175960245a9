//! Vectors of the room `app`.

use image_updater_core::app::options::ImageOptions;
use image_updater_core::app::{
    Admission, Application, HelmNames, LabelSelector, LookupError, NamePatterns, find_by_name,
    with_aliases,
};
use image_updater_core::credential::{
    CredentialError, CredentialReference, CredentialSource, RegistryPrefix,
};
use image_updater_core::id::AppKey;
use image_updater_core::image::{Image, MatchExpression, Platform};
use serde_json::{Map, Value, json};

use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    let runner: Runner = match (file, group) {
        ("images", "credential_source_parse") => credential_source_parse,
        ("registry", "credentials_parse") => credentials_parse,
        ("images", "annotation_option_resolution") => annotation_option_resolution,
        ("images", "application_type_detection") => application_type_detection,
        ("images", "application_source_selection") => application_source_selection,
        ("images", "application_filtering") => application_filtering,
        ("images", "application_lookup") => application_lookup,
        ("images", "images_from_application") => images_from_application,
        ("images", "helm_parameter_names") => helm_parameter_names,
        ("images", "ignore_tags_annotation") => ignore_tags_annotation,
        ("images", "platform_options") => platform_options,
        ("images", "image_list_annotation_parse") => image_list_annotation_parse,
        ("ops", "app_filter") => app_filter,
        ("ops", "app_name_pattern_match") => app_name_pattern_match,
        ("ops", "label_selector_match") => label_selector_match,
        _ => return None,
    };
    Some(runner)
}

fn credential_source_parse(case: &Case<'_>) -> Verdict {
    let got = match reference(text(&case.input["reference"]), case.input) {
        Ok(read) => {
            let mut value = reference_value(&read);
            value["valid"] = json!(true);
            value
        }
        Err(_) => json!({"valid": false}),
    };
    Verdict::of(case, &got)
}

fn credentials_parse(case: &Case<'_>) -> Verdict {
    let got = match reference(text(&case.input["spec"]), case.input) {
        Ok(read) => reference_value(&read),
        Err(error) => json!({"error": error.family()}),
    };
    Verdict::of(case, &got)
}

fn reference(text: &str, input: &Value) -> Result<CredentialReference, CredentialError> {
    let prefix = if input["require_prefix"] == json!(true) {
        RegistryPrefix::Required
    } else {
        RegistryPrefix::Optional
    };
    CredentialReference::parse(text, prefix)
}

fn reference_value(read: &CredentialReference) -> Value {
    let mut value = match &read.source {
        CredentialSource::Secret {
            namespace,
            name,
            field,
        } => json!({"namespace": namespace, "name": name, "field": field}),
        CredentialSource::PullSecret { namespace, name } => {
            json!({"namespace": namespace, "name": name, "field": ".dockerconfigjson"})
        }
        CredentialSource::Env(variable) => json!({"env": variable}),
        CredentialSource::Ext(script) => json!({"script": script}),
    };
    value["registry"] = json!(read.registry);
    value["type"] = json!(read.source.kind());
    value
}

fn annotation_option_resolution(case: &Case<'_>) -> Verdict {
    let options = options(case.input);
    let pattern = match &options.allow_tags {
        MatchExpression::Any => json!({"kind": "any"}),
        MatchExpression::Nothing(_) => json!({"kind": "none"}),
        MatchExpression::Regexp(regexp) => json!({"kind": "regexp", "pattern": regexp.as_str()}),
    };
    let got = json!({
        "strategy": options.strategy.as_str(),
        "match": pattern,
        "ignore": ignore_value(&options),
        "pull_secret": options.pull_secret.as_ref().map(reference_value),
        "force_update": options.force_update,
        "platforms": options.platforms.keys().collect::<Vec<_>>(),
        "helm_image_name": options.helm.image_name.as_deref().unwrap_or(""),
        "helm_image_tag": options.helm.image_tag.as_deref().unwrap_or(""),
        "helm_image_spec": options.helm.image_spec.as_deref().unwrap_or(""),
        "kustomize_image_name": options.kustomize_image_name.as_deref().unwrap_or(""),
    });
    Verdict::of(case, &got)
}

fn ignore_tags_annotation(case: &Case<'_>) -> Verdict {
    let got = json!({"patterns": ignore_value(&options(case.input))});
    Verdict::of(case, &got)
}

fn ignore_value(options: &ImageOptions) -> Value {
    match &options.ignore_tags {
        None => Value::Null,
        Some(patterns) => patterns.iter().map(|(pattern, _)| json!(pattern)).collect(),
    }
}

fn platform_options(case: &Case<'_>) -> Verdict {
    let mut options = options(case.input);
    if case.input["unrestricted"] == json!(true) {
        options.platforms = image_updater_core::image::PlatformSet::any();
    }
    let probes = case.input["probe"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let accepted: Vec<bool> = probes
        .iter()
        .map(|probe| options.platforms.accepts(&platform(probe)))
        .collect();
    let keys: Vec<&str> = options.platforms.keys().collect();
    Verdict::of(case, &json!({"platforms": keys, "accepted": accepted}))
}

fn platform(value: &Value) -> Platform {
    Platform {
        os: text(&value["os"]).into(),
        arch: text(&value["arch"]).into(),
        variant: value["variant"].as_str().unwrap_or("").into(),
    }
}

fn helm_parameter_names(case: &Case<'_>) -> Verdict {
    let options = options(case.input);
    let got = match options.helm.names() {
        HelmNames::Spec(spec) => {
            json!({"direct": {"spec": spec}, "values_file": {"name": spec, "tag": ""}})
        }
        HelmNames::NameAndTag { name, tag } => {
            let names = json!({"name": name, "tag": tag});
            json!({"direct": names, "values_file": names})
        }
    };
    Verdict::of(case, &got)
}

/// The options of `input.image` under `input.annotations`.
fn options(input: &Value) -> ImageOptions {
    let app = application(&json!({"metadata": {"annotations": input["annotations"]}}));
    let runtime = input
        .get("runtime")
        .map_or_else(|| Platform::new("linux", "amd64"), platform);
    let image = Image::parse(text(&input["image"]));
    ImageOptions::resolve(&app.annotations, &image, &runtime)
}

fn application_type_detection(case: &Case<'_>) -> Verdict {
    let app = application(&case.input["application"]);
    let got = json!({
        "source_type": app.effective_source_type(),
        "application_type": app.source_kind().to_string(),
    });
    Verdict::of(case, &got)
}

fn application_source_selection(case: &Case<'_>) -> Verdict {
    use image_updater_core::app::SourcePlace;
    let app = application(&case.input["application"]);
    let got = match app.selected_source().map(|selected| selected.place) {
        Some(SourcePlace::Single) => json!({"index": null, "persistent": true}),
        Some(SourcePlace::Listed(index)) => json!({"index": index, "persistent": true}),
        Some(SourcePlace::Dry) => json!({"index": null, "persistent": false}),
        None => json!({"error": "application has no source"}),
    };
    Verdict::of(case, &got)
}

fn application_filtering(case: &Case<'_>) -> Verdict {
    let patterns = NamePatterns::parse(texts(&case.input["name_patterns"]));
    let considered: Map<String, Value> = case.input["applications"]
        .as_array()
        .expect("a list of applications")
        .iter()
        .map(application)
        .filter(|app| app.admission(&patterns) == Admission::Considered)
        .map(|app| (app.key.to_string(), json!(image_count(&app))))
        .collect();
    Verdict::of(case, &json!({"considered": considered}))
}

fn app_filter(case: &Case<'_>) -> Verdict {
    let patterns = NamePatterns::parse(texts(&case.input["patterns"]));
    let counts: Map<String, Value> = case.input["apps"]
        .as_array()
        .expect("a list of applications")
        .iter()
        .map(|flat| {
            let spec = if flat["multi_source"] == json!(true) {
                json!({"sources": [{}, {}]})
            } else {
                json!({"source": {}})
            };
            application(&json!({
                "metadata": {"name": flat["name"], "namespace": flat["namespace"],
                    "annotations": flat["annotations"]},
                "spec": spec,
                "status": {"sourceType": flat["source_type"], "sourceTypes": flat["source_types"]},
            }))
        })
        .filter(|app| app.admission(&patterns) == Admission::Considered)
        .map(|app| (app.key.to_string(), json!(image_count(&app))))
        .collect();
    let selected: Vec<&String> = counts.keys().collect();
    Verdict::of(case, &json!({"selected": selected, "image_count": counts}))
}

fn image_count(app: &Application) -> usize {
    app.image_list().expect("a list within bounds").images.len()
}

fn app_name_pattern_match(case: &Case<'_>) -> Verdict {
    let patterns = NamePatterns::parse(texts(&case.input["patterns"]));
    let mut got = json!({"match": patterns.is_match(text(&case.input["name"]))});
    let malformed: Vec<&str> = patterns.malformed().collect();
    if !malformed.is_empty() {
        got["malformed"] = json!(malformed);
    }
    Verdict::of(case, &got)
}

fn label_selector_match(case: &Case<'_>) -> Verdict {
    let labels = &case.input["labels"];
    let got = match LabelSelector::parse(text(&case.input["selector"])) {
        Ok(selector) => {
            json!({"match": selector.is_match(|key| labels.get(key).and_then(Value::as_str))})
        }
        Err(_) => json!({"error": true}),
    };
    Verdict::of(case, &got)
}

fn application_lookup(case: &Case<'_>) -> Verdict {
    let keys: Vec<AppKey> = case.input["applications"]
        .as_array()
        .expect("a list of applications")
        .iter()
        .map(|pair| AppKey::new(text(&pair[0]), text(&pair[1])))
        .collect();
    let namespace = Some(text(&case.input["configured_namespace"])).filter(|text| !text.is_empty());
    let got = match find_by_name(&keys, text(&case.input["name"]), namespace) {
        Ok(key) => json!({"found": key.to_string()}),
        Err(LookupError::NotFound) => json!({"error": "not-found"}),
        Err(LookupError::Ambiguous) => json!({"error": "ambiguous"}),
    };
    Verdict::of(case, &got)
}

fn images_from_application(case: &Case<'_>) -> Verdict {
    let app = application(&case.input["application"]);
    let listed = app.image_list().unwrap_or_default().images;
    let live = app.live_images(&listed);
    let images: Value = live.iter().map(image_value).collect();
    let aliased: Value = with_aliases(live, &listed)
        .iter()
        .map(image_value)
        .collect();
    Verdict::of(case, &json!({"images": images, "with_aliases": aliased}))
}

fn image_list_annotation_parse(case: &Case<'_>) -> Verdict {
    let app = application(&json!({"metadata": {"annotations": case.input["annotations"]}}));
    let images: Value = app
        .image_list()
        .expect("a list within bounds")
        .images
        .iter()
        .map(|image| {
            let mut value = image_value(image);
            value["original"] = json!(image.original);
            value["kustomize_image"] = image
                .kustomize_image
                .as_deref()
                .map_or(Value::Null, image_value);
            value
        })
        .collect();
    Verdict::of(case, &json!({"images": images}))
}

fn image_value(image: &Image) -> Value {
    let tag = image
        .tag
        .as_ref()
        .map(|tag| json!({"name": tag.name, "digest": tag.digest}));
    json!({"alias": image.alias, "registry": image.registry, "name": image.name, "tag": tag})
}

/// Reads an application of the cases, which have no UID, through the production parser.
fn application(value: &Value) -> Application {
    serde_json::from_value(value.clone()).expect("an object is always read")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().map(text)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
