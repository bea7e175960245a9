//! Credentials, challenges, tokens.

use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::{HttpOutcome, Method};
use crate::registry::{
    EndpointSettings, FactsKind, LookupFailureKind as Kind, RegistryOutcome, RegistrySettings,
};

const BEARER: (&str, &str) = (
    "www-authenticate",
    "Bearer realm=\"https://auth.io/token\",service=\"reg\",scope=\"repository:x:pull\"",
);
const BASIC: (&str, &str) = ("www-authenticate", "Basic realm=\"r\"");

fn settings(source: Option<CredentialSource>) -> RegistrySettings {
    RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            credentials: source,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: Duration::from_secs(100),
        ..RegistrySettings::default()
    }
}

fn env() -> CredentialSource {
    CredentialSource::Env("CREDS".into())
}

#[test]
fn an_anonymous_token_is_fetched_once_challenged_and_reused() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let first = driver.answer("list", with(401, &[BEARER], ""));
    assert_eq!(shown(&first), None);
    let asked = driver.answer(
        "https://auth.io/token?scope=repository%3Aorg%2Fapp%3Apull&service=reg",
        ok(r#"{"token":"canary1","expires_in":300}"#),
    );
    assert_eq!((asked.method, shown(&asked)), (Method::Get, None));
    let second = driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(shown(&second), Some("Bearer canary1"));
    driver.pass(Duration::from_secs(100));
    driver.want(app, 2);
    let third = driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(
        shown(&third),
        Some("Bearer canary1"),
        "no token request in between"
    );
    driver.pass(Duration::from_secs(175));
    driver.want(app, 3);
    driver.answer("service=reg", ok(r#"{"token":"canary2"}"#));
    let renewed = driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(
        shown(&renewed),
        Some("Bearer canary2"),
        "renewed before it expires"
    );
}

#[test]
fn another_repository_of_a_known_registry_asks_for_its_token_first() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BEARER], ""));
    let other = driver.repository("reg.io", "org/other");
    driver.want(other, 2);
    driver.answer("app%3Apull&service=reg", ok(r#"{"token":"a"}"#));
    driver.answer("app/tags/list", ok(r#"{"tags":[]}"#));
    assert!(
        driver.requests.is_empty(),
        "the token server has a rate of its own"
    );
    driver.pass(Duration::from_millis(50));
    driver.answer("other%3Apull&service=reg", ok(r#"{"token":"b"}"#));
    let sent = driver.answer("other/tags/list", ok(r#"{"tags":[]}"#));
    assert_eq!(shown(&sent), Some("Bearer b"));
}

#[test]
fn a_kept_token_that_is_refused_is_replaced_once() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("reg", ok(r#"{"token":"old","expires_in":3000}"#));
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.pass(Duration::from_secs(100));
    driver.want(app, 2);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("reg", ok(r#"{"token":"new","expires_in":3000}"#));
    let sent = driver.answer("list", with(401, &[BEARER], ""));
    assert_eq!(shown(&sent), Some("Bearer new"));
    assert!(driver.requests.is_empty(), "a fresh token refused is final");
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Ok(true)), (vec![2], Err(Kind::Denied))]
    );
    assert!(driver.registry.is_quiescent());
}

#[test]
fn credentials_are_read_once_and_shown_to_the_token_server() {
    let mut driver = Driver::new(settings(Some(env())));
    let apps = ["a", "b"].map(|name| driver.repository("reg.io", name));
    driver.want(apps[0], 1);
    driver.want(apps[1], 2);
    assert_eq!(driver.reads.len(), 1, "one reading for both");
    assert!(driver.requests.is_empty());
    driver.answer_read("user:canary");
    let first = driver.answer("list", with(401, &[BEARER], ""));
    assert_eq!(
        shown(&first),
        None,
        "nothing is shown before it is asked for"
    );
    driver.answer("list", with(401, &[BEARER], ""));
    let asked = driver.answer(
        "account=user&scope=repository%3Aa%3Apull&service=reg",
        ok(r#"{"token":"t"}"#),
    );
    assert_eq!(shown(&asked), Some("Basic dXNlcjpjYW5hcnk="));
}

#[test]
fn basic_is_answered_with_user_and_password_and_refused_once() {
    let mut driver = Driver::new(settings(Some(env())));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer_read("user:canary");
    driver.answer("list", with(401, &[BASIC], ""));
    let sent = driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(shown(&sent), Some("Basic dXNlcjpjYW5hcnk="));
    driver.pass(Duration::from_secs(100));
    driver.want(app, 2);
    let sent = driver.answer("list", with(401, &[BASIC], ""));
    assert_eq!(shown(&sent), Some("Basic dXNlcjpjYW5hcnk="));
    assert_eq!(driver.reads.len(), 1, "a refused credential is read anew");
    driver.answer_read("user:canary");
    assert!(
        driver.requests.is_empty(),
        "a wrong password is not shown twice"
    );
    assert_eq!(driver.take_listings()[1], (vec![2], Err(Kind::Denied)));
}

#[test]
fn basic_without_a_login_is_denied() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BASIC], ""));
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Denied))]);
}

#[test]
fn bearer_is_preferred_to_basic() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BASIC, BEARER], ""));
    driver.answer("service=reg", ok(r#"{"token":"t"}"#));
}

#[test]
fn a_token_server_that_refuses_is_asked_once_and_one_that_fails_again() {
    for (status, n_requests, kind) in [
        (401, 1, Kind::Denied),
        (500, 7, Kind::Transient),
        (404, 1, Kind::Malformed),
    ] {
        let mut driver = Driver::new(settings(None));
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        driver.answer("list", with(401, &[BEARER], ""));
        for _ in 0..n_requests {
            driver.answer("service=reg", with(status, &[], ""));
            driver.pass(Duration::from_secs(4));
        }
        assert!(driver.requests.is_empty(), "{status}");
        assert_eq!(
            driver.take_listings(),
            vec![(vec![1], Err(kind))],
            "{status}"
        );
    }
}

#[test]
fn an_identity_token_is_posted_as_a_refresh_token() {
    let secret = CredentialSource::PullSecret {
        namespace: "ns".into(),
        name: "pull".into(),
    };
    let mut driver = Driver::new(settings(None));
    let app = driver.repository_as("reg.io", "org/app", Some(&secret));
    driver.want(app, 1);
    driver.answer_read(r#"{"auths":{"reg.io":{"identitytoken":"canary"}}}"#);
    driver.answer("list", with(401, &[BEARER], ""));
    let asked = driver.answer("https://auth.io/token", ok(r#"{"access_token":"t"}"#));
    assert_eq!(asked.method, Method::Post);
    assert_eq!(
        asked.body,
        b"client_id=registry-client&grant_type=refresh_token&refresh_token=canary&scope=repository%3Aorg%2Fapp%3Apull&service=reg"
    );
    let sent = driver.answer("list", ok(r#"{"tags":[]}"#));
    assert_eq!(shown(&sent), Some("Bearer t"));
}

#[test]
fn two_credentials_never_share_anything() {
    let secrets = ["one", "two"].map(|name| CredentialSource::PullSecret {
        namespace: "ns".into(),
        name: name.into(),
    });
    let mut driver = Driver::new(settings(Some(env())));
    let ids = secrets
        .each_ref()
        .map(|secret| driver.repository_as("reg.io", "org/app", Some(secret)));
    assert_ne!(ids[0], ids[1]);
    driver.want(ids[0], 1);
    driver.want(ids[1], 2);
    assert_eq!(driver.reads.len(), 2);
    driver.answer_read(r#"{"auths":{"reg.io":{"username":"u","password":"p"}}}"#);
    driver.answer_read(r#"{"auths":{"other.io":{"username":"u","password":"p"}}}"#);
    assert_eq!(
        driver.take_listings(),
        vec![(vec![2], Err(Kind::Credential))]
    );
    assert_eq!(driver.requests.len(), 1);
}

#[test]
fn a_broken_credential_is_told_and_not_read_again_at_once() {
    let mut driver = Driver::new(settings(Some(env())));
    let app = driver.repository("reg.io", "a");
    driver.want(app, 1);
    driver.answer_read("canary");
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Err(Kind::Credential))]
    );
    let is_told = |outcome: &RegistryOutcome| {
        matches!(outcome, RegistryOutcome::CredentialFailed { .. }).then_some(())
    };
    assert_eq!(driver.take(is_told).len(), 1);
    let other = driver.repository("reg.io", "b");
    driver.want(other, 2);
    assert!(driver.reads.is_empty());
    assert_eq!(
        driver.take_listings(),
        vec![(vec![2], Err(Kind::Credential))]
    );
}

#[test]
fn endpoint_credentials_expire_and_pull_secrets_are_read_once_per_interval() {
    let mut settings = settings(Some(env()));
    settings.endpoints[0].credentials_age_max = Some(Duration::from_secs(150));
    let secret = CredentialSource::PullSecret {
        namespace: "ns".into(),
        name: "pull".into(),
    };
    let mut driver = Driver::new(settings);
    let own = driver.repository("reg.io", "a");
    let named = driver.repository_as("reg.io", "a", Some(&secret));
    for (round, n_reads) in [(1, 2), (2, 1), (3, 2)] {
        driver.want(own, round);
        driver.want(named, round);
        assert_eq!(driver.reads.len(), n_reads, "round {round}");
        while let Some((_, source)) = driver.reads.front().cloned() {
            let is_secret = source != env();
            driver.answer_read(if is_secret {
                r#"{"auths":{"reg.io":{"auth":"dTpw"}}}"#
            } else {
                "u:p"
            });
        }
        driver.answer("list", ok(r#"{"tags":[]}"#));
        driver.answer("list", ok(r#"{"tags":[]}"#));
        driver.pass(Duration::from_secs(100));
    }
}

#[test]
fn two_lookups_that_are_refused_with_one_token_fetch_one_new() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("reg", ok(r#"{"token":"old","expires_in":3000}"#));
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.want_facts(app, "2", FactsKind::Created, 1);
    driver.answer("manifests/1", with(401, &[BEARER], ""));
    driver.pass(Duration::from_millis(50));
    let (late, _) = driver.requests.pop_front().expect("the second lookup");
    driver.answer("reg", ok(r#"{"token":"new","expires_in":3000}"#));
    driver.complete(late, HttpOutcome::Response(with(401, &[BEARER], "")));
    let sent = driver.answer("manifests/1", with(404, &[], ""));
    assert_eq!(shown(&sent), Some("Bearer new"));
    let sent = driver.answer("manifests/2", with(404, &[], ""));
    assert_eq!(shown(&sent), Some("Bearer new"));
    assert!(driver.requests.is_empty());
}

#[test]
fn a_redirect_target_cannot_name_the_realm_for_our_password() {
    for challenge in [
        "Bearer realm=\"https://evil.test/token\",service=\"x\"",
        "Basic realm=\"x\"",
    ] {
        let mut driver = Driver::new(settings(Some(env())));
        let app = driver.repository("reg.io", "org/app");
        let away = [("location", "https://cdn.test/list")];
        let evil = [("www-authenticate", challenge)];
        for round in 1..=2 {
            driver.want(app, round);
            if round == 1 {
                driver.answer_read("user:canary");
            }
            let sent = driver.answer("https://reg.io/v2/org/app/tags/list", with(307, &away, ""));
            assert_eq!(shown(&sent), None, "round {round}: nothing was learned");
            let sent = driver.answer("https://cdn.test/list", with(401, &evil, ""));
            assert_eq!(shown(&sent), None);
            assert_eq!(
                driver.take_listings(),
                vec![(vec![round], Err(Kind::Denied))]
            );
            assert!(driver.requests.is_empty());
            driver.pass(Duration::from_secs(100));
            assert!(
                driver.reads.is_empty(),
                "a login that was not shown is not in doubt"
            );
        }
        // The registry's own challenge is learned as ever.
        driver.want(app, 3);
        driver.answer("list", with(401, &[BEARER], ""));
        driver.answer("service=reg", ok(r#"{"token":"t"}"#));
        driver.answer("list", with(307, &away, ""));
        let sent = driver.answer("https://cdn.test/list", with(403, &[], ""));
        assert_eq!(shown(&sent), None);
        assert_eq!(driver.take_listings(), vec![(vec![3], Err(Kind::Denied))]);
    }
}
