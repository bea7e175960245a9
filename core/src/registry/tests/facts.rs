//! What is to be known about tags: manifests, indexes, config blobs.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::http::{HttpResponse, Method};
use crate::registry::digest::ManifestDigest;
use crate::registry::{
    EndpointSettings, FactsKind, LookupFailureKind as Kind, RegistrySettings, RepositoryId,
    TagFacts,
};
use crate::time::UnixTime;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn driver() -> (Driver, RepositoryId) {
    driver_with(&RegistrySettings::default())
}

pub(super) fn driver_with(settings: &RegistrySettings) -> (Driver, RepositoryId) {
    let mut driver = Driver::new(RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: Duration::from_secs(100),
        ..settings.clone()
    });
    let app = driver.repository("reg.io", "org/app");
    (driver, app)
}

fn config(date: &str) -> String {
    format!(r#"{{"os":"linux","architecture":"amd64","created":"{date}"}}"#)
}

fn image(config: &str) -> String {
    let digest = ManifestDigest::of(config.as_bytes());
    format!(r#"{{"schemaVersion":2,"config":{{"digest":"{digest}"}},"layers":[]}}"#)
}

pub(super) fn index(images: &[(&str, &str)]) -> String {
    let children = images.iter().map(|(arch, image)| {
        let digest = ManifestDigest::of(image.as_bytes());
        format!(r#"{{"digest":"{digest}","platform":{{"os":"linux","architecture":"{arch}"}}}}"#)
    });
    let children: vec::Vec<String> = children.collect();
    format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        children.join(",")
    )
}

pub(super) fn typed(kind: &str, body: &str) -> HttpResponse {
    with(200, &[("content-type", kind)], body)
}

pub(super) fn digest(body: &str) -> ManifestDigest {
    ManifestDigest::of(body.as_bytes())
}

#[test]
fn the_date_of_an_index_is_that_of_the_wanted_image() {
    let (mut driver, app) = driver();
    let config = config("1970-01-01T00:00:07Z");
    let image = image(&config);
    let index = index(&[("arm64", "{}"), ("amd64", &image)]);
    assert_eq!(driver.want_facts(app, "1", FactsKind::Created, 1), None);
    let sent = driver.answer("org/app/manifests/1", typed(INDEX, &index));
    assert_eq!(sent.headers.len(), 5, "five kinds are accepted");
    driver.answer(&digest(&image).to_string(), typed(IMAGE, &image));
    driver.answer(&format!("blobs/{}", digest(&config)), ok(&config));
    let facts = TagFacts::Usable {
        digest: digest(&index),
        created: Some(UnixTime::from_secs(7)),
    };
    assert_eq!(driver.take_facts(), vec![Ok(facts.clone())]);
    driver.pass(Duration::from_secs(1000));
    assert_eq!(
        driver.want_facts(app, "1", FactsKind::Created, 2),
        Some(facts)
    );
    driver.pass(Duration::from_mins(50));
    assert_eq!(driver.want_facts(app, "1", FactsKind::Created, 3), None);
    let headers = [("docker-content-digest", &*digest(&index).to_string())];
    let sent = driver.answer("manifests/1", with(200, &headers, ""));
    assert_eq!(sent.method, Method::Head);
    assert!(
        driver.take_facts()[0].is_ok(),
        "an unchanged digest confirms what is kept"
    );
    assert!(driver.requests.is_empty());
}

#[test]
fn the_digest_of_a_tag_is_asked_for_once_per_interval() {
    let (mut driver, app) = driver();
    let first = index(&[("amd64", "a")]);
    let second = index(&[("amd64", "b")]);
    driver.want_facts(app, "latest", FactsKind::Digest, 1);
    driver.want_facts(app, "latest", FactsKind::Digest, 2);
    assert_eq!(driver.requests.len(), 1);
    driver.answer("manifests/latest", typed(INDEX, &first));
    assert_eq!(
        driver.take_facts()[0].as_ref().map(TagFacts::digest),
        Ok(digest(&first))
    );
    assert!(
        driver
            .want_facts(app, "latest", FactsKind::Digest, 3)
            .is_some()
    );
    driver.pass(Duration::from_secs(95));
    driver.want_facts(app, "latest", FactsKind::Digest, 4);
    let moved = [("docker-content-digest", &*digest(&second).to_string())];
    driver.answer("latest", with(200, &moved, ""));
    let sent = driver.answer("latest", typed(INDEX, &second));
    assert_eq!(
        sent.method,
        Method::Get,
        "what it moved to must be looked at"
    );
    assert_eq!(
        driver.take_facts()[0].as_ref().map(TagFacts::digest),
        Ok(digest(&second))
    );
}

#[test]
fn a_second_tag_of_the_same_content_costs_one_request() {
    let (mut driver, app) = driver();
    let config = config("2024-01-01T00:00:00Z");
    let image = image(&config);
    driver.want_facts(app, "1.0", FactsKind::Created, 1);
    driver.answer("1.0", typed(IMAGE, &image));
    driver.answer("", ok(&config));
    driver.want_facts(app, "latest", FactsKind::Created, 2);
    driver.answer("latest", typed(IMAGE, &image));
    let facts = driver.take_facts();
    assert_eq!(facts[0], facts[1]);
    assert!(driver.requests.is_empty());
}

#[test]
fn a_head_that_a_server_does_not_know_is_followed_by_a_get() {
    for reply in [
        with(405, &[], ""),
        with(404, &[], ""),
        with(200, &[("docker-content-digest", "nonsense")], ""),
    ] {
        let (mut driver, app) = driver();
        let index = index(&[("amd64", "a")]);
        driver.want_facts(app, "latest", FactsKind::Digest, 1);
        driver.answer("latest", typed(INDEX, &index));
        driver.pass(Duration::from_secs(95));
        driver.want_facts(app, "latest", FactsKind::Digest, 2);
        driver.answer("latest", reply);
        driver.answer("latest", typed(INDEX, &index));
        assert_eq!(driver.take_facts().len(), 2);
    }
}

#[test]
fn a_blob_elsewhere_is_fetched_without_showing_who_we_are() {
    let (mut driver, app) = driver();
    let config = config("2024-01-01T00:00:00Z");
    let image = image(&config);
    let bearer = [("www-authenticate", "Bearer realm=\"https://auth.io/t\"")];
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", with(401, &bearer, ""));
    driver.answer("pull", ok(r#"{"token":"canary"}"#));
    let sent = driver.answer("1", typed(IMAGE, &image));
    assert_eq!(shown(&sent), Some("Bearer canary"));
    let elsewhere = [("location", "https://cdn.example/blob?sig=x%2Fy")];
    let sent = driver.answer(&digest(&config).to_string(), with(307, &elsewhere, ""));
    assert_eq!(shown(&sent), Some("Bearer canary"));
    let sent = driver.answer("https://cdn.example/blob?sig=x%2Fy", ok(&config));
    assert_eq!(shown(&sent), None);
    assert!(driver.take_facts()[0].is_ok());
}

#[test]
fn redirects_end() {
    let (mut driver, app) = driver();
    driver.want_facts(app, "1", FactsKind::Created, 1);
    for _ in 0..11 {
        driver.answer(
            "manifests/1",
            with(302, &[("location", "/v2/org/app/manifests/1")], ""),
        );
    }
    assert_eq!(driver.take_facts(), vec![Err(Kind::Malformed)]);
    driver.want_facts(app, "2", FactsKind::Created, 1);
    driver.answer("2", with(302, &[("location", "http://reg.io/x")], ""));
    assert_eq!(
        driver.take_facts(),
        vec![Err(Kind::Malformed)],
        "no way down to http"
    );
}

#[test]
fn a_content_with_another_digest_is_fetched_again_and_never_used() {
    let (mut driver, app) = driver();
    let config = config("2024-01-01T00:00:00Z");
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", typed(IMAGE, &image(&config)));
    for _ in 0..3 {
        driver.answer("", ok("{\"created\":\"2025-01-01T00:00:00Z\"}"));
        driver.pass(Duration::from_secs(1));
    }
    assert_eq!(driver.take_facts(), vec![Err(Kind::Transient)]);
}

#[test]
fn facts_of_tags_that_are_no_longer_listed_are_forgotten() {
    let (mut driver, app) = driver();
    let empty = driver.registry.footprint().facts;
    driver.want(app, 1);
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", with(404, &[], ""));
    assert_eq!(driver.take_facts(), vec![Err(Kind::Missing)]);
    assert!(driver.registry.footprint().facts > empty);
    driver.pass(Duration::from_secs(100));
    driver.want(app, 2);
    driver.answer("list", ok(r#"{"tags":["2"]}"#));
    assert_eq!(driver.registry.footprint().facts, empty);
}

#[test]
fn deep_and_long_documents_are_errors_and_no_crashes() {
    for body in [
        "[".repeat(10_000),
        "{\"a\":".repeat(10_000),
        " ".repeat(4 << 20),
        format!("{{\"manifests\":[{}]}}", vec!["{}"; 1_000_000].join(",")),
    ] {
        let (mut driver, app) = driver();
        driver.want_facts(app, "1", FactsKind::Created, 1);
        let own = digest(&body).to_string();
        let headers = [("content-type", INDEX), ("docker-content-digest", &own)];
        driver.answer("1", with(200, &headers, &body));
        assert!(matches!(
            driver.take_facts()[0],
            Ok(TagFacts::Unusable { .. })
        ));
    }
}

#[test]
fn a_text_that_is_no_tag_is_never_part_of_a_url() {
    let (mut driver, app) = driver();
    for text in ["../x", "a?b", "", "a b", "-a", "sha256:aa"] {
        driver.want_facts(app, text, FactsKind::Digest, 1);
        assert!(driver.requests.is_empty(), "{text}");
        assert_eq!(driver.take_facts(), vec![Err(Kind::Malformed)], "{text}");
    }
}

#[test]
fn facts_never_outgrow_their_bound_even_when_all_are_under_way() {
    const FACTS_BYTES_MAX: usize = 20_000;
    let (mut driver, app) = driver_with(&RegistrySettings {
        facts_bytes_max: FACTS_BYTES_MAX,
        ..RegistrySettings::default()
    });
    let mut n_begun = 0;
    while driver.is_waiting_for(app, &format!("{n_begun}"), FactsKind::Created, 1) {
        n_begun += 1;
        assert!(n_begun < 1000, "there is no bound");
    }
    assert!(n_begun > 50, "only {n_begun} fit");
    let full = driver.registry.footprint().facts;
    for idx in 0..100 {
        let failure = driver.failure_of_facts(app, &format!("more-{idx}"), 2);
        let failure = failure.expect("there is no room");
        assert_eq!(failure.kind, Kind::Overflow);
        assert!(
            failure.detail.contains("more-") && failure.detail.contains("org/app"),
            "{failure}"
        );
    }
    assert_eq!(driver.registry.footprint().facts, full);
    assert!(
        driver.is_waiting_for(app, "7", FactsKind::Created, 3),
        "what is under way can be joined"
    );
    let other = index(&[("arm64", "{}")]);
    for idx in 0..2 {
        driver.answer(&format!("manifests/{idx}"), typed(INDEX, &other));
    }
    assert!(
        driver.is_waiting_for(app, "late", FactsKind::Created, 3),
        "what has ended makes room"
    );
    assert_eq!(driver.registry.recount(), Ok(()));
}
