//! Other endpoints while lookups are under way: what is kept, what fails, what is forgotten.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::TrustAnchors;
use crate::image::TagListSort;
use crate::registry::{
    EndpointSettings, LookupFailureKind as Kind, RegistrySettings, Reload, ReloadCounts,
};

const BASIC: (&str, &str) = ("www-authenticate", "Basic realm=\"reg\"");
const TAGS: &str = r#"{"tags":["1"]}"#;

fn endpoint(prefix: &str) -> EndpointSettings {
    EndpointSettings {
        rate_max: None,
        ..EndpointSettings::inferred(prefix)
    }
}

fn env(variable: &str) -> CredentialSource {
    CredentialSource::Env(variable.into())
}

fn driver(endpoints: &[EndpointSettings]) -> Driver {
    Driver::new(RegistrySettings {
        endpoints: endpoints.to_vec(),
        interval: Duration::from_secs(100),
        ..RegistrySettings::default()
    })
}

#[track_caller]
fn reload(driver: &mut Driver, endpoints: &[EndpointSettings]) -> Reload {
    driver.reload(endpoints).expect("good endpoints")
}

#[test]
fn equal_settings_change_nothing() {
    let mut driver = driver(&[endpoint("reg.io")]);
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    let same = EndpointSettings {
        api_url: "https://reg.io/".into(),
        ..endpoint("reg.io")
    };
    let told = reload(&mut driver, &[same]);
    let counts = ReloadCounts {
        registries: 1,
        ..ReloadCounts::default()
    };
    assert_eq!((told.counts, told.is_served_otherwise), (counts, false));
    driver.answer("list", ok(TAGS));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.repository("reg.io", "app"), app);
}

#[test]
fn what_changes_no_request_is_adapted_in_place() {
    let mut driver = driver(&[endpoint("reg.io")]);
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    driver.answer("list", ok(TAGS));
    let other = EndpointSettings {
        name: "ours".into(),
        rate_max: Some(1),
        credentials_age_max: Some(Duration::from_secs(1)),
        tag_sort_mode: TagListSort::LatestFirst,
        ..endpoint("reg.io")
    };
    let told = reload(&mut driver, &[other]);
    assert_eq!((told.counts.adapted, told.is_served_otherwise), (1, false));
    assert_eq!(told.resorted, [app]);
    assert_eq!(driver.repository("reg.io", "app"), app);
    assert_eq!(driver.want(app, 2), "kept");
    // The new rate counts from the last request on.
    for name in ["b", "c", "d"] {
        let id = driver.repository("reg.io", name);
        driver.want(id, 3);
    }
    assert_eq!(driver.requests.len(), 0);
    driver.pass(Duration::from_secs(2));
    assert_eq!(driver.requests.len(), 2);
    // A higher one is not kept back by a timer of the lower.
    reload(&mut driver, &[endpoint("reg.io")]);
    assert_eq!(driver.requests.len(), 3);
}

#[test]
fn a_throttle_window_outlives_every_reload() {
    let mut driver = driver(&[endpoint("reg.io")]);
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    driver.answer("list", with(429, &[("retry-after", "30")], ""));
    let renamed = EndpointSettings {
        api_url: "https://reg.io".into(),
        ..endpoint("mirror.io")
    };
    for endpoints in [
        vec![EndpointSettings {
            credentials: Some(env("X")),
            ..endpoint("reg.io")
        }],
        vec![EndpointSettings {
            is_insecure: true,
            ..endpoint("reg.io")
        }],
        vec![renamed],
    ] {
        reload(&mut driver, &endpoints);
        let host = &endpoints[0].prefix;
        let id = driver.repository(host, "other");
        driver.want(id, 9);
        // The driver of these tests refuses a request inside the window.
        driver.pass(Duration::from_secs(5));
        assert!(driver.requests.is_empty(), "{endpoints:?}");
    }
}

#[test]
fn lookups_of_an_endpoint_that_is_gone_fail_and_nothing_more_is_sent_there() {
    let mut driver = driver(&[endpoint("reg.io"), endpoint("reg.io/team")]);
    let old = driver.repository("reg.io", "team/app");
    let token = with(
        401,
        &[("www-authenticate", "Bearer realm=\"https://auth.io/t\"")],
        "",
    );
    driver.want(old, 1);
    let queued = driver.repository("reg.io", "team/other");
    driver.want(queued, 2);
    // One waits for a token, one is in flight.
    driver.answer("app/tags/list", token);
    let told = reload(&mut driver, &[endpoint("reg.io")]);
    assert_eq!((told.counts.removed, told.is_served_otherwise), (1, true));
    let told = driver.take_listings();
    assert_eq!(
        told,
        [(vec![1], Err(Kind::Transient))],
        "it waits for a token"
    );
    driver.answer("other/tags/list", with(503, &[], ""));
    driver.answer("app%3Apull", ok(r#"{"token":"t"}"#));
    driver.pass(Duration::from_secs(10));
    let told = driver.take_listings();
    assert_eq!(
        told,
        [(vec![2], Err(Kind::Transient))],
        "its request was out"
    );
    assert!(driver.requests.is_empty());
    // Asking by the old repository is answered, too.
    assert_ne!(driver.want(queued, 3), "kept");
    let new = driver.repository("reg.io", "team/app");
    assert_ne!(new, old);
    driver.want(new, 4);
    driver.answer("app/tags/list", ok(TAGS));
    driver.release(old);
    driver.release(queued);
    let prefixes: Vec<String> = endpoints(&driver);
    assert_eq!(prefixes, ["docker.io", "reg.io"]);
}

#[test]
fn another_api_url_is_another_server_with_its_own_slots() {
    let mut driver = Driver::new(RegistrySettings {
        endpoints: vec![endpoint("reg.io")],
        in_flight_max: 1,
        ..RegistrySettings::default()
    });
    let old = driver.repository("reg.io", "app");
    driver.want(old, 1);
    let moved = EndpointSettings {
        api_url: "https://mirror.io".into(),
        ..endpoint("reg.io")
    };
    assert_eq!(reload(&mut driver, &[moved]).counts.changed, 1);
    let new = driver.repository("reg.io", "app");
    driver.want(new, 2);
    assert_eq!(driver.requests.len(), 2, "the old one still holds its slot");
    driver.release(old);
    assert_eq!(driver.cancels.len(), 1);
    assert_eq!(endpoints(&driver), ["docker.io", "reg.io", "reg.io"]);
    let (op, _) = driver.requests.pop_front().expect("the old request");
    driver.complete(op, crate::http::HttpOutcome::Response(ok(TAGS)));
    assert_eq!(driver.take_listings(), [], "its answer is for nobody");
    assert_eq!(endpoints(&driver), ["docker.io", "reg.io"]);
    let sent = driver.answer("list", ok(TAGS));
    assert_eq!(sent.url, "https://mirror.io/v2/app/tags/list");
}

#[test]
fn other_credentials_take_effect_at_once_and_keep_the_servers_challenge() {
    let with_credentials = |variable| EndpointSettings {
        credentials: Some(env(variable)),
        ..endpoint("reg.io")
    };
    let mut driver = driver(&[with_credentials("OLD")]);
    let old = driver.repository("reg.io", "app");
    driver.want(old, 1);
    driver.answer_read("a:b");
    driver.answer("list", with(401, &[BASIC], ""));
    driver.answer("list", with(401, &[BASIC], ""));
    assert_eq!(driver.take_listings(), [(vec![1], Err(Kind::Denied))]);
    let told = reload(&mut driver, &[with_credentials("NEW")]);
    assert_eq!((told.counts.changed, told.is_served_otherwise), (1, true));
    let new = driver.repository("reg.io", "app");
    assert_eq!(
        driver.want(new, 2),
        "waiting",
        "the failure was the old one's"
    );
    driver.answer_read("c:d");
    let sent = driver.answer("list", ok(TAGS));
    assert_eq!(shown(&sent), Some("Basic Yzpk"));
}

#[test]
fn whom_it_trusts_divides_what_was_learnt_before_from_after() {
    let mut driver = driver(&[EndpointSettings {
        is_insecure: true,
        ..endpoint("reg.io")
    }]);
    let old = driver.repository("reg.io", "app");
    driver.want(old, 1);
    driver.answer("list", ok(TAGS));
    for trust in [
        TrustAnchors::System,
        TrustAnchors::File("/ca.pem".into()),
        TrustAnchors::Data("pem".into()),
    ] {
        let told = reload(
            &mut driver,
            &[EndpointSettings {
                trust: trust.clone(),
                ..endpoint("reg.io")
            }],
        );
        assert_eq!((told.counts.changed, told.is_served_otherwise), (1, true));
        let new = driver.repository("reg.io", "app");
        assert_eq!(driver.want(new, 2), "waiting");
        let sent = driver.answer("list", ok(TAGS));
        assert_eq!((sent.pool.insecure, &sent.pool.trust), (false, &trust));
    }
}

#[test]
fn bad_endpoints_change_nothing_and_all_problems_are_told() {
    let mut driver = driver(&[endpoint("reg.io")]);
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    driver.answer("list", ok(TAGS));
    let bad = |prefix: &str| EndpointSettings {
        api_url: "nowhere".into(),
        is_default: true,
        ..endpoint(prefix)
    };
    let problems = driver.reload(&[bad("a.io"), bad("a.io")]);
    assert_eq!(problems.map_err(|problems| problems.len()), Err(4));
    assert_eq!(endpoints(&driver), ["docker.io", "reg.io"]);
    assert_eq!(driver.want(app, 2), "kept");
}

#[test]
fn inferred_endpoints_stay_until_an_entry_serves_their_host() {
    let mut driver = driver(&[]);
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    driver.answer("list", ok(TAGS));
    reload(
        &mut driver,
        &[endpoint("other.io"), endpoint("reg.io/team")],
    );
    assert_eq!(driver.repository("reg.io", "app"), app);
    // An entry for it takes it over as it is; one for everything does not hide behind it (D-09).
    reload(&mut driver, &[endpoint("reg.io")]);
    assert_eq!(driver.repository("reg.io", "app"), app);
    reload(&mut driver, &[]);
    let again = driver.repository("reg.io", "app");
    assert_ne!(again, app);
    let all = EndpointSettings {
        name: "all".into(),
        api_url: "https://all.io".into(),
        ..endpoint("")
    };
    reload(&mut driver, &[all]);
    let all = driver.repository("reg.io", "app");
    driver.want(all, 2);
    let sent = driver.answer("list", ok(TAGS));
    assert_eq!(sent.url, "https://all.io/v2/app/tags/list");
}

#[test]
fn the_default_moves_and_comes_back() {
    let mut driver = driver(&[]);
    let hub = driver.repository("", "nginx");
    let ours = EndpointSettings {
        is_default: true,
        ..endpoint("reg.io")
    };
    assert!(reload(&mut driver, &[ours]).is_served_otherwise);
    let moved = driver.repository("", "nginx");
    assert_eq!(
        &*driver.registry.endpoint_of(moved).api_url,
        "https://reg.io"
    );
    assert!(reload(&mut driver, &[]).is_served_otherwise);
    assert_eq!(
        driver.repository("", "nginx"),
        hub,
        "Docker Hub was there all the time"
    );
    assert_eq!(driver.registry.name_of(hub), "library/nginx");
}

fn endpoints(driver: &Driver) -> Vec<String> {
    let mut prefixes: Vec<String> = driver
        .registry
        .endpoints
        .iter()
        .map(|(_, endpoint)| String::from(&*endpoint.settings().prefix))
        .collect();
    prefixes.sort();
    prefixes
}
