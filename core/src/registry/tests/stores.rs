//! The stores that registries redirect to: other servers, with limits of their own.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, with};
use super::facts::{digest, driver_with, typed};
use crate::http::{HttpOutcome, HttpResponse};
use crate::registry::{
    FactsKind, LookupFailureKind as Kind, RegistryOutcome, RegistrySettings, RepositoryId,
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","created":"1970-01-01T00:00:09Z"}"#;

/// A lookup whose config blob was redirected to a store, which is asked now.
fn at_store() -> (Driver, RepositoryId) {
    let (mut driver, app) = driver_with(&RegistrySettings::default());
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", typed(IMAGE, &image()));
    redirect(&mut driver);
    (driver, app)
}

#[test]
fn a_store_without_tls_serves_what_is_asked_for_by_digest_and_is_shown_nothing() {
    let (mut driver, app) = driver_with(&RegistrySettings::default());
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", typed(IMAGE, &image()));
    let place = [("location", "http://store.example/blob")];
    driver.answer(&digest(CONFIG).to_string(), with(307, &place, ""));
    let sent = driver.answer("http://store.example/blob", ok(CONFIG));
    assert!(sent.headers.is_empty(), "{:?}", sent.headers);
    assert!(driver.take_facts()[0].is_ok());
    // What stands behind a tag only the registry can say.
    driver.want_facts(app, "2", FactsKind::Created, 2);
    driver.answer("2", with(307, &place, ""));
    assert_eq!(driver.take_facts(), vec![Err(Kind::Malformed)]);
}

fn image() -> String {
    let config = digest(CONFIG);
    format!(r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[]}}"#)
}

fn redirect(driver: &mut Driver) {
    let place = [("location", "https://store.example/blob")];
    let config = digest(CONFIG).to_string();
    driver.answer(&config, with(307, &place, ""));
}

/// Asserts that the registry is asked for anything else as if nothing had happened.
#[track_caller]
fn check_undisturbed(mut driver: Driver, answer: HttpResponse) -> Driver {
    driver.answer("store.example/blob", answer);
    let limits = driver.take(|outcome| {
        let is_limit = matches!(
            outcome,
            RegistryOutcome::Throttled { .. }
                | RegistryOutcome::PaceChanged { .. }
                | RegistryOutcome::QuotaCounted { .. }
        );
        is_limit.then(|| outcome.clone())
    });
    assert_eq!(limits, []);
    let other = driver.repository("reg.io", "org/other");
    driver.want(other, 9);
    let (op, request) = driver.requests.pop_back().expect("asked at once");
    assert!(request.url.contains("org/other"), "{}", request.url);
    let list = ok(r#"{"tags":[]}"#);
    driver.complete(op, HttpOutcome::Response(list));
    driver
}

#[test]
fn a_store_that_wants_half_an_hour_of_peace_fails_the_one_lookup_and_stops_nobody() {
    let (driver, app) = at_store();
    let answer = with(429, &[("retry-after", "1800")], "");
    let mut driver = check_undisturbed(driver, answer);
    assert_eq!(driver.take_facts(), vec![Err(Kind::Throttled)]);
    let failure = driver.failure_of_facts(app, "1", 2).expect("it failed");
    assert!(failure.detail.contains("1800 s"), "{failure}");
}

#[test]
fn a_store_that_wants_some_seconds_of_peace_has_the_one_lookup_wait() {
    let answer = with(429, &[("retry-after", "20")], "");
    let unavailable = with(503, &[("retry-after", "20")], "");
    for answer in [answer, unavailable] {
        let (driver, _) = at_store();
        let mut driver = check_undisturbed(driver, answer);
        driver.pass(Duration::from_millis(19_999));
        assert!(driver.requests.is_empty());
        driver.pass(Duration::from_millis(1));
        redirect(&mut driver);
        driver.answer("store.example/blob", ok(CONFIG));
        assert!(driver.take_facts()[0].is_ok());
    }
}

#[test]
fn what_a_store_says_about_its_limits_is_not_said_about_the_registry() {
    let used_up = [
        ("ratelimit-limit", "100"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "1800"),
    ];
    for answer in [with(200, &used_up, CONFIG), with(429, &[], "")] {
        let (driver, _) = at_store();
        check_undisturbed(driver, answer);
    }
}
