//! Decisions from Application and listing to reasons, counters and patch: one rule each.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::json_patch::apply;
use super::*;
use crate::app::Application;
use crate::app::application::ANNOTATION_PREFIX;
use crate::fixed_cases::{CASES, config};
use crate::image::{Image, Platform, Tag, TagListSort};
use crate::time::UnixTime;

#[test]
fn every_mistake_is_the_reason_of_its_image_alone() {
    let annotations = json!({
        "image-list": "a=x/a:1.x, b=x/b:latest, c=x/c, d=x/d, e=x/e:1.x, f=x/f:1.x, g=x/g:1.x",
        "c.update-strategy": "digest",
        "d.update-strategy": "newest",
        "e.pull-secret": "nonsense",
        "g.allow-tags": "regexp:(",
    });
    let live = [
        "x/a:1.0.0",
        "x/b:1.0.0",
        "x/c:1",
        "x/d:1",
        "x/e:1.0.0",
        "x/f:main",
        "x/g:1.0.0",
    ];
    let app = helm_app(&annotations, &live);
    let decision = run(&app, &Tags::named(&["1.0.0", "1.1.0"]));
    assert_eq!(
        codes(&decision),
        [
            "updated",
            "invalid-constraint",
            "no-constraint-tag",
            "invalid-option",
            "invalid-option",
            "running-tag-not-a-version",
            "no-tag-allowed",
        ]
    );
    let Counters {
        n_considered,
        n_updated,
        n_skipped,
        n_errors,
        ..
    } = decision.counters;
    assert_eq!((n_considered, n_updated, n_skipped, n_errors), (7, 1, 1, 5));
}

#[test]
fn outcome_of_the_lookup_is_told() {
    for (tags, code) in [
        (Tags::named(&[]), "no-tags"),
        (Tags::named(&["main"]), "no-versions"),
        (Tags::named(&["2.0.0"]), "none-in-constraint"),
        (Tags::named(&["1.0"]), "up-to-date"),
        (Tags::named(&["\u{1}"]), "no-tag-allowed"),
    ] {
        let app = helm_app(&json!({"image-list": "a=x/a:1.x"}), &["x/a:1.0.0"]);
        assert_eq!(codes(&run(&app, &tags)), [code], "{:?}", tags.names);
    }
    for (lookup, code) in [
        (Lookup::Absent, "not-looked-up"),
        (Lookup::Partial, "listing-incomplete"),
        (
            Lookup::Failed(FailureKind::Credential, "x"),
            "credential-failed",
        ),
        (Lookup::Failed(FailureKind::Listing, "x"), "listing-failed"),
    ] {
        let app = helm_app(&json!({"image-list": "a=x/a:1.x"}), &["x/a:1.0.0"]);
        let plan = Plan::of(&app, &Platform::new("linux", "amd64"));
        let lookup = core::cell::Cell::new(Some(lookup));
        let decision = decide(&app, &plan, &|_| lookup.take().expect("it is asked once"));
        assert_eq!(codes(&decision), [code]);
        assert_eq!(decision.write, WriteBack::None);
    }
}

#[test]
fn unread_candidate_stops_a_decision_on_build_times() {
    let annotations = json!({"image-list": "a=x/a", "update-strategy": "newest-build"});
    let app = helm_app(&annotations, &["x/a:old"]);
    let mut tags = Tags::named(&["old", "new", "odd"]);
    tags.created = BTreeMap::from([("old", Some(1)), ("new", Some(2)), ("odd", Some(3))]);
    assert_eq!(chosen(&run(&app, &tags)), ["odd"]);
    tags.created.insert("odd", None);
    assert_eq!(codes(&run(&app, &tags)), ["metadata-failed"]);
    assert_eq!(run(&app, &tags).counters.n_errors, 1);
    // A tag without a usable image is no candidate.
    tags.created.remove("odd");
    assert_eq!(chosen(&run(&app, &tags)), ["new"]);
}

#[test]
fn sorted_listing_needs_no_manifests() {
    let annotations = json!({"image-list": "a=x/a", "update-strategy": "newest-build"});
    let app = helm_app(&annotations, &["x/a:old"]);
    let mut tags = Tags::named(&["b", "old"]);
    tags.sort = TagListSort::LatestFirst;
    assert_eq!(chosen(&run(&app, &tags)), ["b"]);
}

#[test]
fn image_of_several_aliases_is_compared_with_what_fits_it() {
    let annotations = json!({
        "image-list": "one=x/a:1.x, two=x/a:2.x, tail=x/a:1-0, none=x/a:3.x",
        "tail.allow-tags": "regexp:-alpine$",
    });
    let live = ["x/a:1.9.0", "x/a:2.8.0", "x/a:1.9.0-alpine"];
    let decision = run(
        &helm_app(&annotations, &live),
        &Tags::named(&["1.9.0", "2.9.0", "1.9.0-alpine"]),
    );
    assert_eq!(
        codes(&decision),
        ["up-to-date", "updated", "up-to-date", "none-in-constraint"]
    );
    assert_eq!(decision.changes[0].old, Tag::named("2.8.0"));
}

#[test]
fn what_stands_in_the_source_already_is_not_written_again() {
    let mut app = helm_app(&json!({"image-list": "a=x/a:1.x"}), &["x/a:1.0.0"]);
    let first = run(&app, &Tags::named(&["1.1.0"]));
    let WriteBack::Patch(operations) = &first.write else {
        panic!("{first:?}");
    };
    assert_eq!(operations[0].path, "/spec/source/helm/parameters");
    let mut document = document(&json!({"image-list": "a=x/a:1.x"}), &["x/a:1.0.0"]);
    document["spec"]["source"]["helm"]["parameters"] = operations[0].value.clone();
    app = read(document);
    let second = run(&app, &Tags::named(&["1.1.0"]));
    assert_eq!(codes(&second), ["already-in-spec"]);
    assert_eq!(second.write, WriteBack::None);
    assert_eq!(second.counters.n_skipped, 1);
}

#[test]
fn images_that_undo_each_other_write_nothing() {
    let mut document = document(
        &json!({"image-list": "x/a:1.x, x/b:1.x"}),
        &["x/a:1.0.0", "x/b:1.0.0"],
    );
    document["spec"]["source"]["helm"]["parameters"] = json!([
        {"name": "image.name", "value": "x/b", "forceString": true},
        {"name": "image.tag", "value": "1.1.0", "forceString": true},
    ]);
    let app = read(document);
    let plan = Plan::of(&app, &Platform::new("linux", "amd64"));
    let warnings: Vec<_> = plan.warnings.iter().map(PlanWarning::code).collect();
    assert_eq!(warnings, ["shared-helm-parameter", "shared-helm-parameter"]);
    let decision = run(&app, &Tags::named(&["1.1.0"]));
    assert_eq!(codes(&decision), ["already-in-spec", "already-in-spec"]);
    assert_eq!(
        (decision.write, decision.changes.len()),
        (WriteBack::None, 0)
    );
}

#[test]
fn up_to_date_image_is_left_alone_by_the_patch() {
    let annotations = json!({
        "image-list": "a=x/a:1.x, b=x/b:1.x",
        "a.helm.image-spec": "a", "b.helm.image-spec": "b",
    });
    let app = helm_app(&annotations, &["x/a:1.0.0", "x/b:1.1.0"]);
    let decision = run(&app, &Tags::named(&["1.1.0"]));
    assert_eq!(codes(&decision), ["updated", "up-to-date"]);
    let WriteBack::Patch(operations) = &decision.write else {
        panic!("{decision:?}");
    };
    let expect = json!([{"name": "a", "value": "x/a:1.1.0", "forceString": true}]);
    assert_eq!((operations.len(), &operations[0].value), (1, &expect));
}

#[test]
fn refusals_count_once_and_name_themselves() {
    let list = "a=x/a:1.x, b=x/b:1.x";
    for (annotations, code) in [
        (
            json!({"write-back-method": "svn"}),
            "write-back-method-unsupported",
        ),
        (
            json!({"write-back-method": "git:nonsense"}),
            "write-back-method-unsupported",
        ),
        (
            json!({"write-back-method": "git", "git-branch": "a:b:c"}),
            "invalid-git-branch",
        ),
    ] {
        let mut annotations = annotations;
        annotations["image-list"] = json!(list);
        let decision = run(
            &helm_app(&annotations, &["x/a:1.0.0"]),
            &Tags::named(&["1.1.0"]),
        );
        assert_eq!(codes(&decision), [code, "not-live"]);
        assert_eq!(
            (decision.counters.n_updated, decision.counters.n_errors),
            (0, 1)
        );
    }
    let annotations = json!({"image-list": list, "write-back-method": "git"});
    let mut decision = run(
        &helm_app(&annotations, &["x/a:1.0.0"]),
        &Tags::named(&["1.1.0"]),
    );
    assert_eq!(
        (&decision.write, decision.counters.n_updated),
        (&WriteBack::Git, 1)
    );
    decision.refuse(Refusal::GitNotBuilt);
    assert_eq!(codes(&decision), ["git-not-built", "not-live"]);
    assert_eq!(
        (decision.counters.n_updated, decision.counters.n_errors),
        (0, 1)
    );
}

#[test]
fn source_that_cannot_be_trusted_or_written_is_left_alone() {
    let annotations = json!({"image-list": "a=x/a:1.x"});
    let check = |change: &dyn Fn(&mut Value), code: &str| {
        let mut document = document(&annotations, &["x/a:1.0.0"]);
        change(&mut document);
        let decision = run(&read(document), &Tags::named(&["1.1.0"]));
        assert_eq!(codes(&decision), [code]);
        assert_eq!(decision.write, WriteBack::None, "{code}");
        assert_eq!(decision.counters.n_errors, 1, "{code}");
    };
    check(
        &|d| d["spec"]["source"]["helm"]["parameters"] = json!([7, {"name": "image.tag"}]),
        "source-unreadable",
    );
    check(
        &|d| d["spec"]["source"]["helm"] = json!("text"),
        "source-unreadable",
    );
    check(&|d| d["spec"] = json!({}), "source-not-writable");
    check(
        &|d| d["spec"] = json!({"sourceHydrator": {}}),
        "source-not-writable",
    );
    check(
        &|d| d["status"]["sourceType"] = json!("Directory"),
        "wrong-source-type",
    );
    check(
        &|d| d["status"]["sourceType"] = json!(""),
        "wrong-source-type",
    );
    // What is not of our concern is in nobody's way.
    let mut document = document(&annotations, &["x/a:1.0.0"]);
    document["spec"]["source"]["path"] = json!(7);
    assert_eq!(
        codes(&run(&read(document), &Tags::named(&["1.1.0"]))),
        ["updated"]
    );
}

#[test]
fn unreadable_annotation_is_an_error_of_the_application() {
    let long = "x".repeat(1 << 20);
    for (key, value, code) in [
        ("a.allow-tags", json!(7), "unreadable-annotation"),
        ("a.allow-tags", json!(long), "unreadable-annotation"),
        ("image-list", json!(long), "invalid-image-list"),
    ] {
        let mut annotations = json!({"image-list": "a=x/a:1.x"});
        annotations[key] = value;
        let decision = run(
            &helm_app(&annotations, &["x/a:1.0.0"]),
            &Tags::named(&["1.1.0"]),
        );
        let WriteBack::Refused(refusal) = &decision.write else {
            panic!("{decision:?}");
        };
        assert_eq!((refusal.code(), decision.counters.n_errors), (code, 1));
    }
}

#[test]
fn one_list_entry_decides_about_an_image_that_several_replace() {
    // The named target beats the plain one, and neither takes what is the first one's.
    check_kustomize(
        &["d=r.io/x/a", "a=r.io/x/a:1.x", "x/a"],
        &["r.io/x/a:1.0.0", "x/a:1.0.0"],
        &[],
        &["updated", "updated", "shared-kustomize-image"],
        &["r.io/x/a:1.1.0", "x/a=r.io/x/a:1.1.0"],
    );
    // Two constraints on one image would drive it to and fro, one rollout after the other.
    check_kustomize(
        &["one=x/b:1.x", "two=x/b:2.x"],
        &["x/b:1.0.0"],
        &["x/b:1.0.0"],
        &["updated", "shared-kustomize-image"],
        &["x/b:1.1.0"],
    );
    check_kustomize(
        &["one=x/b:1.x", "two=x/b:2.x"],
        &["x/b:1.1.0"],
        &["x/b:1.1.0"],
        &["up-to-date", "shared-kustomize-image"],
        &["x/b:1.1.0"],
    );
    check_kustomize(
        &["x/b:1.x", "x/b:1.x"],
        &["x/b:1.0.0"],
        &[],
        &["updated", "already-in-spec"],
        &["x/b:1.1.0"],
    );
    // One that does not run decides about nothing.
    check_kustomize(
        &["a=r.io/x/a:1.x", "d=r.io/x/a:1.x"],
        &["x/a:1.1.0"],
        &["r.io/x/a:1.0.0"],
        &["updated", "not-live"],
        &["r.io/x/a:1.0.0", "x/a=r.io/x/a:1.1.0"],
    );
}

#[test]
fn mapping_of_another_list_entry_is_not_taken() {
    // Left side `x/a` is that of alias a, whatever stands behind it.
    check_kustomize(
        &["q=q.io/x/a:1.x", "a=r.io/x/a:2.x"],
        &["q.io/x/a:1.0.0"],
        &["x/a=s.io/x/a:1.0.0"],
        &["updated", "not-live"],
        &["x/a=s.io/x/a:1.0.0", "q.io/x/a:1.1.0"],
    );
    check_kustomize(
        &["r.io/x/a:1.x", "a=r.io/x/a:2.x"],
        &["r.io/x/a:1.0.0", "x/a:1.0.0"],
        &["x/a=r.io/x/a:1.0.0"],
        &["updated", "updated"],
        &["x/a=r.io/x/a:2.1.0", "r.io/x/a:1.1.0"],
    );
}

fn check_kustomize(
    list: &[&str],
    live: &[&str],
    entries: &[&str],
    codes_expected: &[&str],
    entries_expected: &[&str],
) {
    let annotations = json!({
        "image-list": list.join(","),
        "a.kustomize.image-name": "x/a",
    });
    let mut document = kustomize_document(&annotations, live, entries);
    let tags = Tags::named(&["1.0.0", "1.1.0", "2.1.0"]);
    let tags = if list.contains(&"x/a") {
        Tags::named(&["1.1.0"])
    } else {
        tags
    };
    let decision = run(&read(document.clone()), &tags);
    assert_eq!(codes(&decision), codes_expected, "{list:?}");
    patch(&mut document, &decision);
    let images = &document["spec"]["source"]["kustomize"]["images"];
    assert_eq!(images, &json!(entries_expected), "{list:?}");
    let again = run(&read(document), &tags);
    assert_eq!(again.write, WriteBack::None, "{list:?}");
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn deciding_again_after_the_patch_writes_nothing(
        is_helm in any::<bool>(),
        list in prop::collection::vec(entries(), 0..5),
        live in prop::collection::vec(prop::sample::select(LIVE), 0..5),
        entries in prop::collection::vec(prop::sample::select(LIVE), 0..4),
        tags in prop::collection::vec(prop::sample::select(TAGS), 0..5),
        strategy in prop::sample::select(STRATEGIES),
    ) {
        let annotations = json!({
            "image-list": list.join(","),
            "update-strategy": strategy,
            "a.kustomize.image-name": "x/a",
            "e.kustomize.image-name": "r.io/x/a",
            "f.kustomize.image-name": "y",
            "e.force-update": "true",
            "b.helm.image-spec": "image.name",
            "b.force-update": "true",
        });
        let mut document = document(&annotations, &live);
        if !is_helm {
            document = kustomize_document(&annotations, &live, &entries);
        }
        let before = document.clone();
        let mut tags = Tags::named(&tags);
        tags.created = tags.names.iter().map(|name| (*name, Some(1))).collect();
        let decision = run(&read(document.clone()), &tags);
        let Counters { n_considered, n_updated, n_skipped, n_errors, .. } = decision.counters;
        prop_assert!(n_updated + n_errors <= n_considered, "{:?}", decision);
        prop_assert!(n_considered + n_skipped <= 2 * decision.images.len() as u64);
        prop_assert_eq!(n_updated, decision.changes.len() as u64);
        if let WriteBack::Patch(operations) = &decision.write {
            prop_assert!(!operations.is_empty());
            patch(&mut document, &decision);
            let images = |document: &Value| document["spec"]["source"]["kustomize"]["images"].clone();
            for (at, old) in entries.iter().enumerate().filter(|_| !is_helm) {
                let images = images(&document);
                let new = images[at].as_str().expect("an entry stays a text");
                let mut changes = decision.changes.iter();
                prop_assert!(
                    new == *old || changes.any(|change| may_become(old, new, &change.image)),
                    "{} -> {} {:?}", old, new, decision,
                );
            }
            prop_assert_ne!(&before, &document);
            let again = run(&read(document), &tags);
            prop_assert_eq!(&again.write, &WriteBack::None, "{:?} {:?}", decision, again);
        } else {
            prop_assert_eq!(&decision.write, &WriteBack::None);
        }
    }

    #[test]
    fn rolling_out_what_is_written_settles(
        list in prop::collection::vec(entries(), 0..5),
        manifests in prop::collection::vec(prop::sample::select(LIVE), 0..5),
        entries in prop::collection::vec(prop::sample::select(LIVE), 0..4),
        tags in prop::collection::vec(prop::sample::select(TAGS), 0..5),
    ) {
        let annotations = json!({
            "image-list": list.join(","),
            "a.kustomize.image-name": "x/a",
            "e.kustomize.image-name": "r.io/x/a",
            "f.kustomize.image-name": "y",
        });
        let mut document = kustomize_document(&annotations, &[], &entries);
        let tags = Tags::named(&tags);
        let mut writes = Vec::new();
        loop {
            document["status"]["summary"]["images"] = json!(rendered(&manifests, &document));
            let decision = run(&read(document.clone()), &tags);
            if decision.write == WriteBack::None {
                break;
            }
            patch(&mut document, &decision);
            writes.push(decision.write);
            prop_assert!(writes.len() <= list.len() + 1, "{:?}", writes);
        }
    }

    #[test]
    fn nothing_that_can_be_written_makes_a_decision_panic(
        list in ".{0,60}", live in ".{0,20}", constraint in "[-=<>~^0-9.*x |]{0,12}",
        tags in prop::collection::vec(".{0,8}", 0..4),
    ) {
        let annotations = json!({"image-list": format!("{list},a=x/a:{constraint}")});
        let app = helm_app(&annotations, &[&live, "x/a:1.0.0"]);
        let names: Vec<&str> = tags.iter().map(String::as_str).collect();
        let decision = run(&app, &Tags::named(&names));
        prop_assert!(decision.counters.n_applications == 1);
    }
}

/// The images that run when Argo CD has synchronised the document.
fn rendered(manifests: &[&str], document: &Value) -> Vec<String> {
    let images = &document["spec"]["source"]["kustomize"]["images"];
    let entries: Vec<&str> = images
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let replace = |text: &&str| {
        let image = Image::parse(text);
        let new = entries.iter().find_map(|entry| {
            let (left, new) = entry.split_once('=').unwrap_or((entry, entry));
            Image::parse(left).is_same_repository(&image).then_some(new)
        });
        let new = new.map_or_else(|| image.full_name_with_tag(), String::from);
        if Image::parse(&new).tag.is_none() {
            format!("{new}:{}", image.tag_name())
        } else {
            new
        }
    };
    manifests.iter().map(replace).collect()
}

/// True when the entry is the image's: it names it by its path or target, and keeps the target that it has.
fn may_become(old: &str, new: &str, image: &Image) -> bool {
    let split = |text: &str| match text.split_once('=') {
        Some((left, image)) => (Some(Image::parse(left)), Image::parse(image)),
        None => (None, Image::parse(text)),
    };
    let ((old_left, old), (new_left, new)) = (split(old), split(new));
    let is_kept = match (&old_left, &new_left) {
        (Some(old), Some(new)) => old.is_same_repository(new),
        (Some(_), None) => false,
        (None, Some(new)) => old.is_same_repository(new) || old.name == image.name,
        (None, None) => old.name == image.name,
    };
    is_kept && new.is_same_repository(image)
}

const LIVE: &[&str] = &[
    "x/a:1.0.0",
    "x/a:2.0.0",
    "r.io/x/a:1.0.0",
    "x/b:1.0.0@sha256:c",
    "y=x/a:1",
    "y=x/c:1",
    "q.io/x/a:1.1.0",
    "x/a=r.io/x/a:1.0.0",
    "x/a-b:1.0.0",
];
const TAGS: &[&str] = &["1.0.0", "1.1.0", "v1.1.0", "2.1.0", "2.2.0-rc1", "main"];
const STRATEGIES: &[&str] = &["semver", "alphabetical", "newest-build"];

fn entries() -> impl Strategy<Value = &'static str> {
    const LIST: &[&str] = &[
        "x/a",
        "a=r.io/x/a:1.x",
        "b=x/b:^1",
        "c=x/a:2.x",
        "d=r.io/x/a",
        "e=q.io/x/a:1.x",
        "f=q.io/x/d:>=1",
        "x/a:1.x",
        "y:1.x",
        ">",
    ];
    prop::sample::select(LIST)
}

#[test]
fn hundred_thousand_tags_are_no_burden() {
    let names: Vec<String> = (0..100_000)
        .map(|n| format!("1.{n}.0-{}", "a".repeat(110)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = helm_app(&json!({"image-list": "a=x/a:1.x-0"}), &["x/a:1.0.0"]);
    let decision = run(&app, &Tags::named(&names));
    assert_eq!(chosen(&decision), [names[99_999]]);
}

struct Tags<'a> {
    names: Vec<&'a str>,
    sort: TagListSort,
    /// Build times; `None` for what could not be read.
    created: BTreeMap<&'a str, Option<i64>>,
}

impl<'a> Tags<'a> {
    fn named(names: &[&'a str]) -> Self {
        Self {
            names: names.to_vec(),
            sort: TagListSort::Unsorted,
            created: BTreeMap::new(),
        }
    }
}

impl TagListing for Tags<'_> {
    fn n_tags(&self) -> usize {
        self.names.len()
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.names.iter().copied())
    }

    fn sort(&self) -> TagListSort {
        self.sort
    }

    fn facts(&self, name: &str) -> TagFacts<'_> {
        match self.created.get(name) {
            None => TagFacts::NotUsable("no image"),
            Some(None) => TagFacts::Failed("planted"),
            Some(Some(secs)) => TagFacts::Known {
                created: Some(UnixTime::from_secs(*secs)),
                digest: "",
            },
        }
    }
}

fn run(app: &Application, tags: &Tags<'_>) -> Decision {
    let plan = Plan::of(app, &Platform::new("linux", "amd64"));
    let decision = decide(app, &plan, &|_| Lookup::Tags(tags));
    for reason in &decision.images {
        assert!(!reason.to_string().is_empty());
    }
    decision
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.images.iter().map(Reason::code).collect()
}

fn chosen(decision: &Decision) -> Vec<&str> {
    decision.images.iter().filter_map(Reason::chosen).collect()
}

fn helm_app(annotations: &Value, live: &[&str]) -> Application {
    read(document(annotations, live))
}

fn document(annotations: &Value, live: &[&str]) -> Value {
    let pairs = annotations.as_object().expect("annotations are an object");
    let annotations: BTreeMap<String, &Value> = pairs
        .iter()
        .map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), value))
        .collect();
    json!({
        "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": annotations},
        "spec": {"source": {"helm": {}}},
        "status": {"sourceType": "Helm", "summary": {"images": live}},
    })
}

fn kustomize_document(annotations: &Value, live: &[&str], entries: &[&str]) -> Value {
    let mut document = document(annotations, live);
    document["status"]["sourceType"] = json!("Kustomize");
    document["spec"]["source"] = json!({"kustomize": {"images": entries}});
    document
}

fn patch(document: &mut Value, decision: &Decision) {
    if let WriteBack::Patch(operations) = &decision.write {
        for operation in operations {
            apply(document, operation);
        }
    }
}

fn read(document: Value) -> Application {
    serde_json::from_value(document).expect("an object is always read")
}
