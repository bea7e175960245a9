//! Whether there is a registry at all: asked seldom, and told in words that lead to `api_url`.

use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::{HttpOutcome, TransportFailure, TransportKind};
use crate::registry::{
    EndpointSettings, FactsKind, LookupFailureKind as Kind, RegistrySettings, RepositoryId,
};

const INTERVAL: Duration = Duration::from_secs(100);
const NOT_FOUND: &str = "404 page not found\n";
const NAME_UNKNOWN: &str = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"x"}]}"#;

fn driver(source: Option<CredentialSource>) -> (Driver, RepositoryId) {
    let mut driver = Driver::new(RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            credentials: source,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: INTERVAL,
        ..RegistrySettings::default()
    });
    let app = driver.repository("reg.io", "org/app");
    (driver, app)
}

#[test]
fn a_server_that_is_no_registry_is_named_as_such_once_per_interval() {
    for reply in [with(404, &[], NOT_FOUND), ok("<html>welcome</html>")] {
        let (mut driver, app) = driver(None);
        let other = driver.repository("reg.io", "org/other");
        driver.want(app, 1);
        driver.answer("tags/list", reply.clone());
        assert!(driver.take_listings().is_empty());
        driver.answer("https://reg.io/v2/", with(404, &[], NOT_FOUND));
        assert_eq!(
            driver.take_listings(),
            vec![(vec![1], Err(Kind::Malformed))]
        );
        driver.want(other, 2);
        driver.answer("tags/list", reply.clone());
        assert!(driver.requests.is_empty(), "it is known for an interval");
        for id in [app, other] {
            let failure = driver.registry.listing_failure(id).expect("it failed");
            for words in [
                "valid v2 Docker Registry API",
                "https://reg.io/v2/",
                "404",
                "api_url",
            ] {
                assert!(failure.detail.contains(words), "{words}: {failure}");
            }
        }
        driver.pass(INTERVAL * 2);
        driver.want(app, 3);
        driver.answer("tags/list", reply);
        assert_eq!(driver.requests.len(), 1, "it may have become one");
    }
}

#[test]
fn a_registry_is_not_asked_whether_it_is_one() {
    let (mut driver, app) = driver(None);
    driver.want(app, 1);
    driver.answer("tags/list", with(404, &[], NAME_UNKNOWN));
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Missing))]);
    assert!(driver.requests.is_empty(), "it speaks like one");
    driver.pass(INTERVAL);
    driver.want(app, 2);
    driver.answer("tags/list", ok(r#"{"tags":["1"]}"#));
    driver.pass(INTERVAL);
    driver.want(app, 3);
    driver.answer("tags/list", with(404, &[], NOT_FOUND));
    assert!(driver.requests.is_empty(), "it was seen to be one");
    assert_eq!(driver.take_listings()[1], (vec![3], Err(Kind::Missing)));
}

#[test]
fn a_registry_that_answers_leaves_the_failure_as_it_was() {
    let (mut driver, app) = driver(None);
    driver.want(app, 1);
    driver.answer("tags/list", with(404, &[], NOT_FOUND));
    driver.answer("/v2/", ok("{}"));
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Missing))]);
    assert!(driver.registry.is_quiescent());
}

#[test]
fn a_registry_that_hides_what_it_shows_to_nobody_is_asked_again_with_the_login() {
    let (mut driver, app) = driver(Some(CredentialSource::Env("CREDS".into())));
    driver.want(app, 1);
    driver.answer_read("user:canary");
    let sent = driver.answer("tags/list", with(404, &[], NAME_UNKNOWN));
    assert_eq!(shown(&sent), None);
    let basic = [("www-authenticate", "Basic realm=\"r\"")];
    let sent = driver.answer("/v2/", with(401, &basic, ""));
    assert_eq!(shown(&sent), None);
    let sent = driver.answer("tags/list", ok(r#"{"tags":["1"]}"#));
    assert!(shown(&sent).is_some_and(|shown| shown.starts_with("Basic ")));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
}

#[test]
fn a_registry_that_hides_is_asked_with_the_login_whatever_is_asked_for_and_however_it_refuses() {
    let basic = [("www-authenticate", "Basic realm=\"r\"")];
    let hidden = with(404, &[], NAME_UNKNOWN);
    let forbidden = with(403, &[], "");
    let mute = with(401, &[], "");
    for reply in [&hidden, &forbidden, &mute] {
        let (mut driver, app) = driver(Some(CredentialSource::Env("CREDS".into())));
        driver.want(app, 1);
        driver.answer_read("user:canary");
        driver.answer("tags/list", reply.clone());
        assert_eq!(shown(&driver.answer("/v2/", with(401, &basic, ""))), None);
        let sent = driver.answer("tags/list", ok(r#"{"tags":["1"]}"#));
        assert!(shown(&sent).is_some_and(|shown| shown.starts_with("Basic ")));
        assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);

        let (mut driver, app) = self::driver(Some(CredentialSource::Env("CREDS".into())));
        driver.want_facts(app, "1", FactsKind::Digest, 1);
        driver.answer_read("user:canary");
        driver.answer("manifests/1", reply.clone());
        assert_eq!(shown(&driver.answer("/v2/", with(401, &basic, ""))), None);
        let sent = driver.answer("manifests/1", reply.clone());
        assert!(shown(&sent).is_some_and(|shown| shown.starts_with("Basic ")));
        assert!(driver.requests.is_empty(), "once");
    }
}

#[test]
fn a_login_that_nobody_asks_for_leaves_a_refusal_as_it_was() {
    for answer in [with(403, &[], ""), with(404, &[], ""), ok("{}")] {
        let (mut driver, app) = driver(Some(CredentialSource::Env("CREDS".into())));
        driver.want(app, 1);
        driver.answer_read("user:canary");
        driver.answer("tags/list", with(403, &[], ""));
        driver.answer("/v2/", answer);
        assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Denied))]);
        assert!(driver.registry.is_quiescent());
    }
}

#[test]
fn a_tag_of_no_repository_is_told_from_a_tag_that_is_missing() {
    let manifest_unknown = NAME_UNKNOWN.replace("NAME", "MANIFEST");
    for (body, kind) in [
        (NAME_UNKNOWN, Kind::RepositoryMissing),
        (&*manifest_unknown, Kind::Missing),
        ("", Kind::Missing),
    ] {
        let (mut driver, app) = driver(None);
        driver.want_facts(app, "1", FactsKind::Digest, 1);
        driver.answer("manifests/1", with(404, &[], body));
        assert_eq!(driver.take_facts(), vec![Err(kind)], "{body}");
    }
}

#[test]
fn a_ping_that_fails_says_nothing_and_a_throttled_one_is_heeded() {
    let (mut driver, app) = driver(None);
    driver.want(app, 1);
    driver.answer("tags/list", with(404, &[], NOT_FOUND));
    driver.fail_request(TransportKind::Closed);
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Missing))]);
    driver.pass(INTERVAL);
    driver.want(app, 2);
    driver.answer("tags/list", with(404, &[], NOT_FOUND));
    driver.answer("/v2/", with(429, &[("retry-after", "30")], ""));
    assert_eq!(driver.take_listings(), vec![(vec![2], Err(Kind::Missing))]);
    let other = driver.repository("reg.io", "org/other");
    driver.want(other, 3);
    assert!(driver.requests.is_empty(), "left alone");
    driver.pass(Duration::from_secs(30));
    assert_eq!(driver.requests.len(), 1);
}

#[test]
fn a_ping_that_hangs_does_not_outlive_the_attempts() {
    let (mut driver, app) = driver(None);
    driver.want(app, 1);
    for _ in 0..3 {
        driver.answer("tags/list", with(404, &[], NOT_FOUND));
        let (op, request) = driver.requests.pop_front().expect("a ping");
        assert!(request.url.ends_with("/v2/"));
        driver.pass(Duration::from_secs(66));
        assert_eq!(driver.cancels.pop(), Some(op));
        let cancelled = TransportFailure {
            kind: TransportKind::Cancelled,
            detail: String::new(),
        };
        driver.complete(op, HttpOutcome::Failed(cancelled));
    }
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Err(Kind::Transient))]
    );
    assert!(driver.requests.is_empty());
}

#[test]
fn a_login_is_never_shown_to_where_a_ping_is_redirected() {
    let (mut driver, app) = driver(Some(CredentialSource::Env("CREDS".into())));
    driver.want(app, 1);
    driver.answer_read("user:canary");
    driver.answer("tags/list", with(404, &[], NAME_UNKNOWN));
    driver.answer(
        "/v2/",
        with(302, &[("location", "https://evil.io/v2/")], ""),
    );
    let basic = [("www-authenticate", "Basic realm=\"r\"")];
    let sent = driver.answer("https://evil.io/v2/", with(401, &basic, ""));
    assert_eq!(shown(&sent), None);
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Missing))]);
    assert!(driver.requests.is_empty(), "nothing was learned from there");
}
