//! Tokens: shared, renewed, asked for at servers with a rate of their own.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::circuits::{BEARER, settings};
use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::TransportKind;
use crate::registry::{EndpointSettings, LookupFailureKind as Kind, RegistrySettings};

const TAGS: &str = r#"{"tags":["1"]}"#;

fn anonymous() -> RegistrySettings {
    let mut settings = settings(30);
    settings.endpoints[0].credentials = None;
    settings
}

#[test]
fn a_realm_that_cannot_be_meant_is_refused_by_name_and_asked_for_anew() {
    for (realm, parts) in [
        (
            "http://auth.io/token?x=1",
            &["http://auth.io/token", "without TLS"][..],
        ),
        (
            "https://auth.io:99999/token",
            &["https://auth.io:99999/token", "no number from 1 to 65535"],
        ),
        (
            "https://auth.io:https/token",
            &["auth.io:https", "no number from 1 to 65535"],
        ),
        ("nowhere", &["\"nowhere\"", "no http or https URL"]),
    ] {
        let mut driver = Driver::new(settings(30));
        let app = driver.repository("reg.io", "org/app");
        let challenge = format!("Bearer realm=\"{realm}\",service=\"reg\"");
        driver.want(app, 1);
        driver.answer_read("user:canary");
        driver.answer("list", with(401, &[("www-authenticate", &challenge)], ""));
        assert!(driver.requests.is_empty(), "{realm}: {:?}", driver.requests);
        assert_eq!(
            driver.take_listings(),
            vec![(vec![1], Err(Kind::Malformed))]
        );
        let failure = driver.registry.listing_failure(app).expect("it failed");
        for part in parts {
            assert!(failure.detail.contains(part), "{part}: {failure}");
        }
        // The registry may have been mended.
        driver.pass(Duration::from_hours(1));
        driver.want(app, 2);
        driver.answer("list", with(401, &[BEARER], ""));
        driver.answer("service=reg", ok(r#"{"token":"t"}"#));
        let sent = driver.answer("list", ok(TAGS));
        assert_eq!(shown(&sent), Some("Bearer t"));
    }
}

#[test]
fn a_registry_without_tls_may_have_its_tokens_fetched_without_it() {
    let mut settings = settings(30);
    settings.endpoints[0].api_url = "http://reg.io".into();
    let mut driver = Driver::new(settings);
    let app = driver.repository("reg.io", "org/app");
    let challenge = "Bearer realm=\"http://auth.io/token\",service=\"reg\"";
    driver.want(app, 1);
    driver.answer_read("user:canary");
    driver.answer("list", with(401, &[("www-authenticate", challenge)], ""));
    let sent = driver.answer("service=reg", ok(r#"{"token":"t"}"#));
    assert!(
        sent.url.starts_with("http://auth.io/token?"),
        "{}",
        sent.url
    );
}

#[test]
fn repositories_that_need_the_same_token_fetch_it_once() {
    let mut settings = settings(30);
    settings.endpoints.push(EndpointSettings {
        prefix: "alias.io".into(),
        ..settings.endpoints[0].clone()
    });
    let mut driver = Driver::new(settings);
    // Another source of the same login, and another endpoint of the same registry.
    let other = CredentialSource::Env("COPY".into());
    let ids = [
        driver.repository("reg.io", "org/app"),
        driver.repository("alias.io", "org/app"),
        driver.repository_as("reg.io", "org/app", Some(&other)),
    ];
    for (waiter, id) in (1..).zip(ids) {
        driver.want(id, waiter);
    }
    for _ in 0..3 {
        driver.answer_read("user:canary");
    }
    for _ in 0..3 {
        driver.answer("org/app/tags/list", with(401, &[BEARER], ""));
    }
    driver.answer("service=reg", ok(r#"{"token":"t"}"#));
    for _ in 0..3 {
        let sent = driver.answer("org/app/tags/list", ok(TAGS));
        assert_eq!(shown(&sent), Some("Bearer t"));
    }
    assert!(driver.requests.is_empty());
    // The first one leaves; the others keep the token.
    driver.registry.release(ids[0]);
    driver.pass(Duration::from_secs(30));
    driver.want(ids[1], 4);
    let sent = driver.answer("org/app/tags/list", ok(TAGS));
    assert_eq!(shown(&sent), Some("Bearer t"));
    driver.registry.release(ids[1]);
    driver.registry.release(ids[2]);
}

#[test]
fn who_asked_first_for_a_token_may_leave() {
    let mut settings = anonymous();
    settings.endpoints.push(EndpointSettings {
        prefix: "alias.io".into(),
        ..settings.endpoints[0].clone()
    });
    let mut driver = Driver::new(settings);
    let ids = ["reg.io", "alias.io"].map(|host| driver.repository(host, "org/app"));
    driver.want(ids[0], 1);
    driver.want(ids[1], 2);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("list", with(401, &[BEARER], ""));
    driver.registry.release(ids[0]);
    driver.answer("service=reg", ok(r#"{"token":"t"}"#));
    driver.answer("list", ok(TAGS));
    assert_eq!(driver.take_listings(), vec![(vec![2], Ok(true))]);
}

#[test]
fn a_token_that_holds_is_used_while_its_renewal_fails() {
    for failure in [Some(401), Some(500), None] {
        let mut driver = Driver::new(anonymous());
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        driver.answer("list", with(401, &[BEARER], ""));
        driver.answer("reg", ok(r#"{"token":"t","expires_in":600}"#));
        driver.answer("list", ok(TAGS));
        driver.pass(Duration::from_secs(575));
        driver.want(app, 2);
        while driver
            .requests
            .front()
            .is_some_and(|(_, request)| request.url.contains("/jwt/auth"))
        {
            match failure {
                Some(status) => {
                    driver.answer("reg", with(status, &[], ""));
                }
                None => driver.fail_request(TransportKind::Refused),
            }
            driver.pass(Duration::from_millis(3100));
        }
        let sent = driver.answer("list", ok(TAGS));
        assert_eq!(shown(&sent), Some("Bearer t"), "{failure:?}");
        let told = driver.take_listings();
        assert!(told.iter().all(|(_, result)| result.is_ok()), "{failure:?}");
        driver.pass(Duration::from_mins(1));
        driver.want(app, 3);
        driver.answer("reg", ok(r#"{"token":"new","expires_in":600}"#));
        let sent = driver.answer("list", ok(TAGS));
        assert_eq!(
            shown(&sent),
            Some("Bearer new"),
            "an expired one is not shown"
        );
    }
}

#[test]
fn a_token_server_that_asks_for_peace_does_not_silence_the_registry() {
    let mut driver = Driver::new(anonymous());
    let apps = ["a", "b"].map(|name| driver.repository("reg.io", name));
    driver.want(apps[0], 1);
    driver.answer("a/tags/list", with(401, &[BEARER], ""));
    driver.answer("service=reg", with(429, &[("retry-after", "20")], ""));
    driver.pass(Duration::from_secs(19));
    assert!(driver.requests.is_empty(), "it is left alone");
    driver.pass(Duration::from_secs(2));
    driver.answer("service=reg", ok(r#"{"token":"t"}"#));
    driver.answer("a/tags/list", ok(TAGS));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
}

#[test]
fn tokens_are_asked_for_at_twenty_a_second() {
    let mut driver = Driver::new(anonymous());
    let apps: Vec<_> = (0..40)
        .map(|n| driver.repository("reg.io", &alloc::format!("app{n}")))
        .collect();
    driver.want(apps[0], 1);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("reg", ok(r#"{"token":"t"}"#));
    driver.answer("list", ok(TAGS));
    for (waiter, app) in (2..).zip(&apps[1..]) {
        driver.want(*app, waiter);
    }
    let mut n_tokens = 0;
    for _ in 0..20 {
        driver.pass(Duration::from_millis(50));
        while let Some((_, request)) = driver.requests.front() {
            let is_token = request.url.contains("/jwt/auth");
            n_tokens += u32::from(is_token);
            driver.answer("", ok(if is_token { r#"{"token":"t"}"# } else { TAGS }));
        }
    }
    assert_eq!(n_tokens, 20);
}

#[test]
fn a_token_is_given_up_after_its_time_and_the_sleeps_that_were_allowed() {
    let mut settings = anonymous();
    settings.token_attempts = 3;
    let mut driver = Driver::new(settings);
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(401, &[BEARER], ""));
    let begun = driver.now().mono;
    // Nobody answers: 15 s and two sleeps of at most 3 s.
    while driver.take_listings().is_empty() {
        driver.pass(Duration::from_secs(1));
        let now = driver.now().mono;
        assert!(
            now.since(begun) < Duration::from_secs(26),
            "it goes on and on"
        );
    }
    assert_eq!(
        driver.registry.listing_failure(app).map(|one| one.kind),
        Some(Kind::Transient)
    );
}

#[test]
fn azure_wants_more_than_pull() {
    let mut driver = Driver::new(RegistrySettings::default());
    let app = driver.repository("team.azurecr.io", "org/app");
    driver.want(app, 1);
    let azure = "Bearer realm=\"https://team.azurecr.io/oauth2/token\",service=\"reg\"";
    driver.answer("list", with(401, &[("www-authenticate", azure)], ""));
    driver.pass(Duration::from_millis(50));
    driver.answer(
        "scope=repository%3Aorg%2Fapp%3Apull%2Cmetadata_read%2Ccontent_read&service=reg",
        ok(r#"{"token":"t"}"#),
    );
}

#[test]
fn a_refresh_token_is_remembered_for_all_repositories_of_its_login() {
    let mut driver = Driver::new(anonymous());
    let apps = ["a", "b"].map(|name| driver.repository("reg.io", name));
    driver.want(apps[0], 1);
    driver.answer("list", with(401, &[BEARER], ""));
    driver.answer("reg", ok(r#"{"token":"t","refresh_token":"canary"}"#));
    driver.answer("list", ok(TAGS));
    driver.pass(Duration::from_secs(1));
    driver.want(apps[1], 2);
    let asked = driver.answer("https://auth.io/jwt/auth", with(400, &[], ""));
    assert!(asked.body.ends_with(b"b%3Apull&service=reg"));
    driver.pass(Duration::from_millis(50));
    driver.answer("b%3Apull&service=reg", ok(r#"{"token":"u"}"#));
    let sent = driver.answer("b/tags/list", ok(TAGS));
    assert_eq!(shown(&sent), Some("Bearer u"));
}

#[test]
fn a_shared_token_outlives_the_entry_that_it_was_asked_for_by() {
    let own = (
        "www-authenticate",
        "Bearer realm=\"https://reg.io/jwt/auth\",service=\"reg\"",
    );
    let mut settings = anonymous();
    let alias = EndpointSettings {
        prefix: "alias.io".into(),
        ..settings.endpoints[0].clone()
    };
    settings.endpoints.push(alias.clone());
    let mut driver = Driver::new(settings);
    let ids = ["reg.io", "alias.io"].map(|host| driver.repository(host, "org/app"));
    driver.want(ids[0], 1);
    driver.answer("list", with(401, &[own], ""));
    driver.answer("service=reg", ok(r#"{"token":"t","expires_in":60}"#));
    driver.answer("list", ok(TAGS));
    driver.want(ids[1], 2);
    driver.answer("list", with(401, &[own], ""));
    let sent = driver.answer("list", ok(TAGS));
    assert_eq!(shown(&sent), Some("Bearer t"));
    let now = driver.now();
    driver.registry.reload(now, &[alias]).expect("a good entry");
    driver.registry.release(ids[0]);
    driver.pass(Duration::from_mins(2));
    driver.want(ids[1], 3);
    driver.answer("service=reg", ok(r#"{"token":"u"}"#));
    let sent = driver.answer("list", ok(TAGS));
    assert_eq!(shown(&sent), Some("Bearer u"));
    assert_eq!(driver.registry.recount(), Ok(()));
}
