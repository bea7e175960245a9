//! Lists that did not change: asked for on a condition, and not for ever.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, with};
use crate::credential::CredentialSource;
use crate::http::{HeaderValue, HttpRequest};
use crate::registry::{
    EndpointSettings, LookupFailureKind as Kind, RegistrySettings, RepositoryId,
};

const INTERVAL: Duration = Duration::from_secs(100);
const TAGGED: [(&str, &str); 1] = [("etag", "W/\"one\"")];

fn settings() -> RegistrySettings {
    RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: INTERVAL,
        ..RegistrySettings::default()
    }
}

/// A repository whose list was read once, with an entity tag.
fn listed() -> (Driver, RepositoryId) {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let sent = driver.answer("list", with(200, &TAGGED, r#"{"tags":["1","2"]}"#));
    assert_eq!(condition(&sent), None);
    driver.take_listings();
    driver.pass(INTERVAL);
    (driver, app)
}

fn condition(request: &HttpRequest) -> Option<&str> {
    let header = |(name, value)| (name == "if-none-match").then_some(value);
    request
        .headers
        .iter()
        .find_map(|(name, value)| header((name.as_str(), HeaderValue::reveal(value))))
}

#[test]
fn a_list_that_did_not_change_holds_for_another_interval_and_decides_nothing() {
    let (mut driver, app) = listed();
    assert_eq!(driver.want(app, 2), "waiting");
    let sent = driver.answer("list", with(304, &[], ""));
    assert_eq!(condition(&sent), Some("W/\"one\""));
    assert_eq!(driver.take_listings(), vec![(vec![2], Ok(false))]);
    assert_eq!(driver.tags(app), ["1", "2"]);
    let listing = driver.registry.kept_listing(app).expect("a listing");
    assert_eq!(listing.started().mono, driver.now().mono);
    driver.pass(INTERVAL / 2);
    assert_eq!(driver.want(app, 3), "kept");
    assert!(driver.requests.is_empty());
}

#[test]
fn a_list_that_changed_is_read_and_its_new_tag_is_shown_next() {
    let (mut driver, app) = listed();
    driver.want(app, 2);
    let changed = [("etag", "\"two\"")];
    driver.answer("list", with(200, &changed, r#"{"tags":["3"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![2], Ok(true))]);
    driver.pass(INTERVAL);
    driver.want(app, 3);
    let sent = driver.answer("list", ok(r#"{"tags":["3"]}"#));
    assert_eq!(condition(&sent), Some("\"two\""));
    driver.pass(INTERVAL);
    driver.want(app, 4);
    let sent = driver.answer("list", ok(r#"{"tags":["3"]}"#));
    assert_eq!(condition(&sent), None, "the last answer had no entity tag");
}

#[test]
fn a_list_in_pages_or_one_that_may_be_full_is_not_asked_for_on_a_condition() {
    let page = |n: usize| {
        let names: vec::Vec<String> = (0..n).map(|n| format!("\"{n}\"")).collect();
        format!(r#"{{"tags":[{}]}}"#, names.join(","))
    };
    let linked = [TAGGED[0], ("link", "<?last=a>; rel=next")];
    for (n_tags, is_paged, expected) in [
        (3, true, false),
        (10, false, false),
        (100, false, false),
        (128, false, false),
        (0, false, true),
        (99, false, true),
        (101, false, true),
    ] {
        let mut driver = Driver::new(settings());
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        if is_paged {
            driver.answer("list", with(200, &linked, page(n_tags)));
            driver.answer("?last=a", with(200, &TAGGED, page(n_tags)));
        } else {
            driver.answer("list", with(200, &TAGGED, page(n_tags)));
        }
        driver.pass(INTERVAL);
        driver.want(app, 2);
        let sent = driver.answer("", ok(page(n_tags)));
        assert_eq!(condition(&sent).is_some(), expected, "{n_tags} {is_paged}");
    }
}

#[test]
fn a_304_that_speaks_of_another_content_is_not_believed() {
    for headers in [
        ("etag", "\"other\""),
        ("etag", "nonsense"),
        ("link", "<?last=2>; rel=next"),
    ] {
        let (mut driver, app) = listed();
        driver.want(app, 2);
        driver.answer("list", with(304, &[headers], ""));
        assert!(driver.take_listings().is_empty());
        let sent = driver.answer("list", ok(r#"{"tags":["3"]}"#));
        assert_eq!(condition(&sent), None, "{headers:?}");
        assert_eq!(driver.take_listings(), vec![(vec![2], Ok(true))]);
    }
    let (mut driver, app) = listed();
    driver.want(app, 2);
    driver.answer("list", with(304, &[("etag", "\"one\"")], ""));
    assert_eq!(driver.take_listings(), vec![(vec![2], Ok(false))]);
}

#[test]
fn a_304_to_a_request_without_a_condition_is_a_failure() {
    let (mut driver, app) = listed();
    driver.want(app, 2);
    driver.answer("list", with(304, &[("etag", "\"other\"")], ""));
    driver.answer("list", with(304, &[], ""));
    assert_eq!(
        driver.take_listings(),
        vec![(vec![2], Err(Kind::Malformed))]
    );
    assert!(driver.registry.is_quiescent());
}

#[test]
fn a_list_that_memory_let_go_meanwhile_is_asked_for_again_whole() {
    let mut driver = Driver::new(RegistrySettings {
        listing_bytes_max: 1,
        ..settings()
    });
    let app = driver.repository("reg.io", "org/app");
    let other = driver.repository("reg.io", "org/other");
    driver.want(app, 1);
    driver.answer("list", with(200, &TAGGED, r#"{"tags":["1"]}"#));
    driver.pass(INTERVAL);
    driver.want(app, 2);
    driver.want(other, 2);
    let (asked, request) = driver.requests.pop_front().expect("the list");
    assert!(condition(&request).is_some());
    driver.answer("other/tags/list", ok(r#"{"tags":["1"]}"#));
    assert!(driver.registry.kept_listing(app).is_none(), "it went");
    let unchanged = crate::http::HttpOutcome::Response(with(304, &[], ""));
    driver.complete(asked, unchanged);
    let sent = driver.answer("app/tags/list", with(200, &TAGGED, r#"{"tags":["1"]}"#));
    assert_eq!(condition(&sent), None);
    let told = driver.take_listings();
    assert_eq!(told.last(), Some(&(vec![2], Ok(false))));
    driver.pass(INTERVAL);
    driver.want(other, 3);
    driver.answer("other/tags/list", ok(r#"{"tags":["1"]}"#));
    driver.want(app, 3);
    let (_, request) = driver.requests.front().expect("the list");
    assert_eq!(condition(request), None, "there is no list to confirm");
}

#[test]
fn whatever_the_registry_says_the_list_is_read_in_full_now_and_then() {
    let (mut driver, app) = listed();
    let mut n_unchanged = 0;
    while n_unchanged < 100 {
        driver.want(app, 2);
        let (_, request) = driver.requests.front().expect("the list");
        if condition(request).is_none() {
            break;
        }
        n_unchanged += 1;
        driver.answer("list", with(304, &[], ""));
        driver.pass(INTERVAL);
    }
    assert_eq!(n_unchanged, 30);
    driver.answer("list", with(200, &TAGGED, r#"{"tags":["9"]}"#));
    assert_eq!(driver.tags(app), ["9"], "what was held back is seen");
    driver.pass(Duration::from_mins(59));
    driver.want(app, 3);
    let sent = driver.answer("list", with(304, &[], ""));
    assert!(condition(&sent).is_some());
    driver.pass(INTERVAL);
    driver.want(app, 4);
    let sent = driver.answer("list", ok(r#"{"tags":["9"]}"#));
    assert_eq!(condition(&sent), None, "an hour is long enough");
}

#[test]
fn another_login_is_not_told_what_the_last_one_saw() {
    let source = CredentialSource::Env("CREDS".into());
    let mut driver = Driver::new(settings());
    let app = driver.repository_as("reg.io", "org/app", Some(&source));
    let mut conditions = vec![];
    for (round, login) in ["user:one", "user:one", "user:two", "user:two"]
        .into_iter()
        .enumerate()
    {
        driver.want(app, 1);
        driver.answer_read(login);
        let sent = driver.answer("list", with(200, &TAGGED, r#"{"tags":["1"]}"#));
        conditions.push(condition(&sent).is_some());
        driver.pass(INTERVAL * 2);
        assert!(driver.requests.is_empty(), "round {round}");
    }
    assert_eq!(conditions, [false, true, false, true]);
}

#[test]
fn a_redirect_is_not_followed_with_a_condition() {
    let (mut driver, app) = listed();
    driver.want(app, 2);
    let away = [("location", "https://cdn.io/list?sig=canary")];
    driver.answer("list", with(307, &away, ""));
    let sent = driver.answer("sig=canary", with(304, &[], ""));
    assert_eq!(condition(&sent), None);
    assert!(!format!("{sent:?}").contains("canary"));
    let told = driver.take_listings();
    assert_eq!(told, vec![(vec![2], Err(Kind::Malformed))]);
}

#[test]
fn a_failure_between_does_not_cost_the_condition() {
    let (mut driver, app) = listed();
    driver.want(app, 2);
    driver.answer("list", with(403, &[], ""));
    driver.pass(INTERVAL);
    assert_eq!(driver.want(app, 3), "waiting");
    let sent = driver.answer("list", with(304, &[], ""));
    assert!(condition(&sent).is_some());
    driver.pass(INTERVAL / 2);
    assert_eq!(driver.want(app, 4), "kept", "the failure is over");
}
