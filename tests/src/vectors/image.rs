//! Vectors of the room `image`.

use std::collections::BTreeMap;

use image_updater_core::image::{
    Candidate, Constraint, Glob, IgnorePatterns, Image, ImageList, MatchExpression, Platform,
    PlatformSet, Selection, Strategy, Tag, TagDates, TagFilter, TagListSort, Version, find_live,
    repository_name, select,
};
use image_updater_core::time::UnixTime;
use serde_json::{Value, json};

use super::{Case, Runner, Verdict};

const PREFIX: &str = "argocd-image-updater.argoproj.io/";

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    let run: Runner = match (file, group) {
        ("images", "image_reference_parse") => |case| Verdict::of(case, &reference(case.input)),
        ("images", "image_list_annotation_parse") => {
            |case| Verdict::of(case, &image_list(case.input))
        }
        ("images", "live_image_lookup") => |case| Verdict::of(case, &live_lookup(case.input)),
        ("images", "image_difference") => |case| Verdict::of(case, &difference(case.input)),
        ("images", "live_tag_rendering") => |case| Verdict::of(case, &rendering(case.input)),
        ("images", "registry_repository_name") => |case| Verdict::of(case, &repository(case.input)),
        ("images", "tag_equality") => |case| Verdict::of(case, &tag_equality(case.input)),
        ("images", "version_parse") => |case| Verdict::of(case, &version(case.input)),
        ("images", "version_ordering") => |case| Verdict::of(case, &version_order(case.input)),
        ("images", "semver_constraint_parse") => |case| Verdict::of(case, &constraint(case.input)),
        ("images", "semver_constraint_check") => {
            |case| Verdict::of(case, &constraint_check(case.input))
        }
        (
            "images",
            "semver_selection"
            | "newest_build_selection"
            | "alphabetical_selection"
            | "digest_selection",
        ) => |case| Verdict::of(case, &selection(case.input)),
        ("images", "tag_list_timestamps") => |case| Verdict::of(case, &timestamps(case.input)),
        ("images", "ignore_tags_annotation") => {
            |case| Verdict::of(case, &ignore_annotation(case.input))
        }
        ("images", "ignore_tags_matching") => {
            |case| Verdict::of(case, &ignore_matching(case.input))
        }
        ("images", "allow_tags_matching") => |case| Verdict::of(case, &allow_matching(case.input)),
        ("images", "tag_filter") => |case| Verdict::of(case, &filter(case.input)),
        ("images", "platform_parse") => |case| Verdict::of(case, &platform(case.input)),
        ("images", "platform_sets") => |case| Verdict::of(case, &platform_sets(case.input)),
        ("images", "platform_options") => |case| Verdict::of(case, &platform_options(case.input)),
        ("registry", "platform_spec_parse") => platform_spec,
        ("registry", "tagsortmode_dates") => |case| Verdict::of(case, &sort_dates(case.input)),
        _ => return None,
    };
    Some(run)
}

fn reference(input: &Value) -> Value {
    let image = Image::parse(text(&input["identifier"]));
    if image.defect().is_some() {
        return json!({"rejected": true});
    }
    json!({
        "alias": image.alias,
        "registry": image.registry,
        "name": image.name,
        "tag": image.tag.as_ref().map(tag_json),
        "full_name": image.full_name(),
        "full_name_with_tag": image.full_name_with_tag(),
        "string": image.to_string(),
        "tag_with_digest": image.tag_with_digest(),
        "original": image.original,
    })
}

fn image_list(input: &Value) -> Value {
    let annotation = |key: &str| input["annotations"].get(format!("{PREFIX}{key}")).map(text);
    let override_of = |alias: &str| annotation(&format!("{alias}.kustomize.image-name"));
    match ImageList::parse(annotation("image-list").unwrap_or_default(), override_of) {
        Ok(list) => {
            let images: Vec<_> = list.images.iter().map(list_entry).collect();
            json!({"images": images})
        }
        Err(error) => json!({"error": error.to_string()}),
    }
}

fn list_entry(image: &Image) -> Value {
    json!({
        "alias": image.alias,
        "registry": image.registry,
        "name": image.name,
        "tag": image.tag.as_ref().map(tag_json),
        "original": image.original,
        "kustomize_image": image.kustomize_image.as_ref().map(|image| json!({
            "alias": image.alias,
            "registry": image.registry,
            "name": image.name,
            "tag": image.tag.as_ref().map(tag_json),
        })),
    })
}

fn live_lookup(input: &Value) -> Value {
    let live: Vec<_> = texts(&input["live"]).map(Image::parse).collect();
    let mut wanted = Image::parse(text(&input["image"]));
    wanted.kustomize_image = input["kustomize_image"]
        .as_str()
        .map(|text| Box::new(Image::parse(text)));
    json!({"index": find_live(&live, &wanted)})
}

fn difference(input: &Value) -> Value {
    let [a, b] = ["a", "b"].map(|side| Image::parse(text(&input[side])));
    json!({"differs": a.differs_from(&b, flag(&input["check_version"]))})
}

fn rendering(input: &Value) -> Value {
    let tag = tag(&input["new_tag"]);
    let image = Image::parse(text(&input["image"])).with_tag(&tag);
    json!({
        "string": image.to_string(),
        "full_name_with_tag": image.full_name_with_tag(),
        "full_name": image.full_name(),
        "tag_with_digest": image.tag_with_digest(),
        "tag_string": tag.to_string(),
    })
}

fn repository(input: &Value) -> Value {
    let namespace = text(&input["default_namespace"]);
    json!({"repository": repository_name(text(&input["image_name"]), namespace)})
}

fn tag_equality(input: &Value) -> Value {
    json!({"equal": tag(&input["a"]).is_same_as(&tag(&input["b"]))})
}

fn version(input: &Value) -> Value {
    match Version::parse(text(&input["tag"])) {
        Some(version) => json!({
            "valid": true,
            "major": version.major,
            "minor": version.minor,
            "patch": version.patch,
            "prerelease": version.prerelease,
            "metadata": version.metadata,
        }),
        None => json!({"valid": false}),
    }
}

fn version_order(input: &Value) -> Value {
    let mut versions: Vec<_> = texts(&input["tags"]).filter_map(Version::parse).collect();
    versions.sort();
    let order: Vec<_> = versions.iter().map(|version| version.original).collect();
    json!({"order": order})
}

fn constraint(input: &Value) -> Value {
    json!({"valid": Constraint::parse(text(&input["constraint"])).is_ok()})
}

fn constraint_check(input: &Value) -> Value {
    let constraint = Constraint::parse(text(&input["constraint"])).expect("a legal constraint");
    let (accepts, rejects): (Vec<_>, Vec<_>) = texts(&input["versions"]).partition(|version| {
        constraint.accepts(&Version::parse(version).expect("a legal version"))
    });
    json!({"accepts": accepts, "rejects": rejects})
}

fn selection(input: &Value) -> Value {
    let strategy = strategy(&input["strategy"]);
    let constraint = text(&input["constraint"]);
    let running = input["current"].is_object().then(|| tag(&input["current"]));
    let listed: BTreeMap<_, _> = input["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| (tag.as_str().unwrap_or_else(|| text(&tag["name"])), tag))
        .collect();
    let names = input["tags"].as_array().into_iter().flatten();
    let names = names.map(|tag| tag.as_str().unwrap_or_else(|| text(&tag["name"])));
    let allow = MatchExpression::parse(input["allow_tags"].as_str().unwrap_or_default());
    let ignore = IgnorePatterns::of(texts(&input["ignore_tags"])).expect("few patterns");
    let selection = match TagFilter::new(strategy, constraint, allow, ignore) {
        Ok(filter) => {
            let candidates: Vec<_> = filter
                .candidates(names)
                .filter_map(|name| candidate(name, listed.get(name).copied()?))
                .collect();
            select(strategy, constraint, running.as_ref(), candidates)
        }
        Err(error) => Selection::Error(error),
    };
    match selection {
        Selection::Tag { tag, .. } if tag.is_digest() => {
            json!({"outcome": "tag", "tag": tag.name, "digest": tag.digest})
        }
        Selection::Tag { tag, .. } => json!({"outcome": "tag", "tag": tag.name}),
        Selection::None { .. } => json!({"outcome": "none"}),
        Selection::Error(_) => json!({"outcome": "error"}),
    }
}

/// A tag whose manifest could not be read, or is for no wanted platform, is no candidate.
fn candidate<'a>(name: &'a str, tag: &'a Value) -> Option<Candidate<'a>> {
    if matches!(tag["metadata"].as_str(), Some("error" | "no-platform")) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cases give seconds as small decimal fractions"
    )]
    let nanos = |secs: f64| UnixTime::from_nanos((secs * 1e9) as i64);
    Some(Candidate {
        name,
        created: tag["created"].as_f64().map(nanos),
        digest: tag["digest"].as_str().unwrap_or_default(),
    })
}

fn timestamps(input: &Value) -> Value {
    let strategy = strategy(&input["strategy"]);
    let dates = TagDates::of(strategy, tag_list_sort(&input["taglistsort"]));
    let Some(created) = positions(dates, input) else {
        return json!({"source": "metadata"});
    };
    let candidates = created.iter().map(|(name, secs)| Candidate {
        created: Some(UnixTime::from_secs(*secs)),
        ..Candidate::named(name)
    });
    let chosen = select(strategy, "", None, candidates);
    let mut got = json!({"source": "synthetic", "created": created, "digests": false});
    if strategy == Strategy::NewestBuild {
        got["chosen"] = json!(chosen.tag().map(|tag| &tag.name));
    }
    got
}

fn sort_dates(input: &Value) -> Value {
    let sort = tag_list_sort(&input["mode"]);
    let dates = TagDates::of(strategy(&input["strategy"]), sort);
    match positions(dates, input) {
        Some(dates) => json!({"synthetic": true, "dates": dates}),
        None => json!({"synthetic": false}),
    }
}

fn positions(dates: TagDates, input: &Value) -> Option<BTreeMap<String, i64>> {
    if dates == TagDates::Manifests {
        return None;
    }
    let names: Vec<_> = texts(&input["tags"]).collect();
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let secs = dates.at(at, names.len())?.as_secs();
            Some(((*name).to_owned(), secs))
        })
        .collect()
}

fn ignore_annotation(input: &Value) -> Value {
    let image = Image::parse(text(&input["image"]));
    let value = [
        format!("{}.ignore-tags", image.annotation_alias()),
        "ignore-tags".to_owned(),
    ]
    .iter()
    .filter_map(|key| input["annotations"].get(format!("{PREFIX}{key}")))
    .map(text)
    .find(|value| !value.is_empty());
    let patterns = value.map(|value| {
        let patterns = IgnorePatterns::parse(value).expect("few patterns");
        patterns
            .iter()
            .map(|(pattern, _)| pattern.to_owned())
            .collect::<Vec<_>>()
    });
    json!({"patterns": patterns})
}

fn ignore_matching(input: &Value) -> Value {
    let glob = Glob::parse(text(&input["pattern"]));
    let (matched, unmatched): (Vec<_>, Vec<_>) =
        texts(&input["tags"]).partition(|tag| glob.as_ref().is_ok_and(|glob| glob.is_match(tag)));
    json!({"matched": matched, "unmatched": unmatched, "malformed": glob.is_err()})
}

fn allow_matching(input: &Value) -> Value {
    let expression = MatchExpression::parse(text(&input["allow_tags"]));
    let kind = match &expression {
        MatchExpression::Any => "any",
        MatchExpression::Nothing(_) => "none",
        MatchExpression::Regexp(_) => "regexp",
    };
    let (matched, unmatched): (Vec<_>, Vec<_>) =
        texts(&input["tags"]).partition(|tag| expression.admits(tag));
    json!({"kind": kind, "matched": matched, "unmatched": unmatched})
}

fn filter(input: &Value) -> Value {
    let allow = MatchExpression::parse(input["allow_tags"].as_str().unwrap_or_default());
    let ignore = IgnorePatterns::of(texts(&input["ignore_patterns"])).expect("few patterns");
    let strategy = strategy(&input["strategy"]);
    match TagFilter::new(strategy, text(&input["constraint"]), allow, ignore) {
        Ok(filter) => {
            let tags: Vec<_> = filter.candidates(texts(&input["tags"])).collect();
            json!({"tags": tags})
        }
        Err(_) => json!({"error": true}),
    }
}

fn platform(input: &Value) -> Value {
    match Platform::parse(text(&input["platform"])) {
        Some(platform) => json!({
            "valid": true,
            "os": platform.os,
            "arch": platform.arch,
            "variant": platform.variant,
        }),
        None => json!({"valid": false}),
    }
}

fn platform_sets(input: &Value) -> Value {
    let set = PlatformSet::of_keys(texts(&input["platforms"]).map(str::to_owned));
    json!({"accepted": accepted(&set, input)})
}

fn platform_options(input: &Value) -> Value {
    let image = Image::parse(text(&input["image"]));
    let annotation = |key: &str| input["annotations"].get(format!("{PREFIX}{key}")).map(text);
    let own = match &*image.annotation_alias() {
        "" => None,
        alias => annotation(&format!("{alias}.platforms")),
    };
    let set = match own.or_else(|| annotation("platforms")) {
        Some(value) => PlatformSet::parse(value),
        None if flag(&input["unrestricted"]) => PlatformSet::any(),
        None => PlatformSet::runtime(&made_for(&input["runtime"])),
    };
    let keys: Vec<_> = set.keys().collect();
    json!({"platforms": keys, "accepted": accepted(&set, input)})
}

fn accepted(set: &PlatformSet, input: &Value) -> Vec<bool> {
    let probes = input["probe"].as_array().into_iter().flatten();
    probes.map(|probe| set.accepts(&made_for(probe))).collect()
}

fn platform_spec(case: &Case<'_>) -> Verdict {
    match Platform::parse(text(&case.input["text"])) {
        Some(platform) => Verdict::of(
            case,
            &json!({
                "os": platform.os,
                "arch": platform.arch,
                "variant": platform.variant,
                "key": platform.to_string(),
            }),
        ),
        // An expected error is the fact of one, never its text.
        None => Verdict::from_bool(case.expect.get("error").is_some(), &"an error"),
    }
}

fn made_for(value: &Value) -> Platform {
    Platform {
        os: text(&value["os"]).to_owned(),
        arch: text(&value["arch"]).to_owned(),
        variant: value["variant"].as_str().unwrap_or_default().to_owned(),
    }
}

fn strategy(value: &Value) -> Strategy {
    Strategy::parse(text(value)).expect("a strategy").strategy
}

fn tag_list_sort(value: &Value) -> TagListSort {
    match text(value) {
        "latest-first" => TagListSort::LatestFirst,
        "latest-last" => TagListSort::LatestLast,
        _ => TagListSort::Unsorted,
    }
}

fn tag(value: &Value) -> Tag {
    Tag {
        name: text(&value["name"]).to_owned(),
        digest: value["digest"].as_str().unwrap_or_default().to_owned(),
    }
}

fn tag_json(tag: &Tag) -> Value {
    json!({"name": tag.name, "digest": tag.digest})
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().map(text)
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}
