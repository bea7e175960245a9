//! Caps, attempts, backoff, throttling, requests that never end.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::driver::{Driver, ok, with};
use crate::http::{HttpOutcome, TransportKind};
use crate::id::OpId;
use crate::registry::{
    EndpointSettings, LookupFailureKind as Kind, RegistryOutcome, RegistrySettings, RepositoryId,
};

fn unlimited() -> RegistrySettings {
    let endpoints = ["reg.io", "other.io"].map(|host| EndpointSettings {
        rate_max: None,
        ..EndpointSettings::inferred(host)
    });
    RegistrySettings {
        endpoints: endpoints.to_vec(),
        ..RegistrySettings::default()
    }
}

fn want_many(driver: &mut Driver, host: &str, n: u64) -> Vec<RepositoryId> {
    (0..n)
        .map(|n| {
            let id = driver.repository(host, &format!("app{n}"));
            driver.want(id, n);
            id
        })
        .collect()
}

#[test]
fn no_more_requests_are_in_flight_than_the_cap_and_others_are_not_held_up() {
    let mut driver = Driver::new(unlimited());
    want_many(&mut driver, "reg.io", 40);
    assert_eq!(driver.requests.len(), 15);
    let other = driver.repository("other.io", "app");
    driver.want(other, 99);
    assert_eq!(
        driver.requests.len(),
        16,
        "another registry has its own cap"
    );
    driver.answer("list", ok(r#"{"tags":[]}"#));
    assert_eq!(driver.requests.len(), 16, "a slot is given on");
    for _ in 0..40 {
        driver.answer("list", ok(r#"{"tags":[]}"#));
    }
    assert_eq!(driver.take_listings().len(), 41);
    assert!(driver.registry.is_quiescent());
}

#[test]
fn requests_are_spaced_by_the_rate() {
    let mut settings = unlimited();
    settings.endpoints[0].rate_max = Some(10);
    let mut driver = Driver::new(settings);
    want_many(&mut driver, "reg.io", 5);
    assert_eq!(driver.requests.len(), 1);
    driver.pass(Duration::from_millis(199));
    assert_eq!(driver.requests.len(), 2);
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.requests.len(), 3);
}

#[test]
fn outages_are_retried_with_growing_sleeps_and_refusals_are_not() {
    for (status, n_requests, kind) in [
        (500, 3, Kind::Transient),
        (408, 3, Kind::Transient),
        (429, 3, Kind::Throttled),
        (403, 1, Kind::Denied),
        (404, 1, Kind::Missing),
        (400, 1, Kind::Malformed),
        (304, 1, Kind::Malformed),
    ] {
        let mut driver = Driver::new(unlimited());
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        for n in 0..n_requests {
            driver.answer("list", with(status, &[], ""));
            let min = [140, 280, 0][n];
            driver.pass(Duration::from_millis(min - min.min(1)));
            assert!(
                driver.requests.is_empty(),
                "{status}: not before the sleep ends"
            );
            driver.pass(Duration::from_secs(1));
        }
        assert!(
            driver.requests.is_empty(),
            "{status}: no more than {n_requests}"
        );
        assert_eq!(
            driver.take_listings(),
            vec![(vec![1], Err(kind))],
            "{status}"
        );
        assert!(driver.registry.is_quiescent(), "{status}");
    }
}

#[test]
fn transport_failures_are_retried_but_a_body_that_is_too_long_is_not() {
    let mut driver = Driver::new(unlimited());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    for _ in 0..2 {
        driver.fail_request(TransportKind::Refused);
        driver.pass(Duration::from_secs(1));
    }
    driver.fail_request(TransportKind::TooLarge);
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Err(Kind::Malformed))]
    );
}

#[test]
fn a_throttled_registry_is_left_alone_until_retry_after_whatever_the_repository() {
    let mut driver = Driver::new(unlimited());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", with(429, &[("retry-after", "30")], ""));
    let second = driver.repository("reg.io", "org/second");
    driver.want(second, 2);
    driver.pass(Duration::from_millis(29_999));
    assert!(driver.requests.is_empty());
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.requests.len(), 1);
    driver.pass(Duration::from_millis(99));
    assert_eq!(driver.requests.len(), 1, "at half the rate from now on");
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.requests.len(), 2);
}

#[test]
fn a_long_throttle_is_told_at_once_to_everybody() {
    let mut driver = Driver::new(unlimited());
    let ids = want_many(&mut driver, "reg.io", 17);
    driver.answer("app0/tags/list", with(503, &[("retry-after", "600")], ""));
    let told = driver.take_listings();
    let waiters: Vec<u64> = told
        .iter()
        .flat_map(|(waiters, _)| waiters.clone())
        .collect();
    assert_eq!(
        waiters,
        [15, 16, 0],
        "those in the queue and the one that was told"
    );
    assert!(
        told.iter()
            .all(|(_, result)| *result == Err(Kind::Throttled))
    );
    let late = driver.repository("reg.io", "late");
    driver.want(late, 50);
    assert_eq!(
        driver.take_listings(),
        vec![(vec![50], Err(Kind::Throttled))]
    );
    driver.requests.clear();
    driver.pass(Duration::from_secs(601));
    driver.want(ids[0], 51);
    assert_eq!(
        driver.take_listings().len() + driver.requests.len(),
        15,
        "14 overdue and one sent"
    );
}

#[test]
fn a_request_without_an_answer_is_cancelled_and_keeps_its_slot() {
    let mut driver = Driver::new(RegistrySettings {
        in_flight_max: 1,
        ..unlimited()
    });
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let (op, _) = driver.requests.pop_front().expect("a request");
    driver.pass(Duration::from_secs(65));
    assert_eq!(driver.cancels, [op]);
    assert!(
        driver.requests.is_empty(),
        "the slot is taken until the request ends"
    );
    let failure = crate::http::TransportFailure {
        kind: TransportKind::Cancelled,
        detail: String::new(),
    };
    driver.complete(op, HttpOutcome::Failed(failure));
    driver.pass(Duration::from_secs(1));
    driver.answer("list", ok(r#"{"tags":[]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
}

#[test]
fn a_request_that_never_ends_closes_its_registry_until_it_does() {
    let mut driver = Driver::new(RegistrySettings {
        in_flight_max: 1,
        ..unlimited()
    });
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let (op, _) = driver.requests.pop_front().expect("a request");
    driver.pass(Duration::from_secs(93));
    assert_eq!(driver.take_listings(), vec![(vec![1], Err(Kind::Stalled))]);
    let is_stalled = |outcome: &RegistryOutcome| {
        matches!(outcome, RegistryOutcome::Stalled { .. }).then_some(())
    };
    assert_eq!(driver.take(is_stalled).len(), 1);
    let other = driver.repository("reg.io", "other");
    driver.want(other, 2);
    assert_eq!(driver.take_listings(), vec![(vec![2], Err(Kind::Stalled))]);
    assert!(driver.requests.is_empty());
    driver.complete(op, HttpOutcome::Response(ok(r#"{"tags":["late"]}"#)));
    assert!(
        driver.take_listings().is_empty(),
        "what comes late decides nothing"
    );
    driver.pass(Duration::from_secs(200));
    driver.want(app, 3);
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![3], Ok(true))]);
}

#[test]
fn an_unknown_or_repeated_completion_changes_nothing() {
    let mut driver = Driver::new(unlimited());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let (op, _) = driver.requests[0].clone();
    driver.answer("list", ok(r#"{"tags":[]}"#));
    let before = format!("{:?}", driver.registry);
    for unknown in [op, OpId(7777)] {
        let now = driver.now();
        let outcome = HttpOutcome::Response(ok(""));
        assert!(!driver.registry.handle_http(now, unknown, outcome));
    }
    assert_eq!(format!("{:?}", driver.registry), before);
}

#[test]
fn a_full_queue_is_a_reason() {
    let mut driver = Driver::new(RegistrySettings {
        queue_max: 2,
        in_flight_max: 1,
        ..unlimited()
    });
    want_many(&mut driver, "reg.io", 4);
    assert_eq!(driver.take_listings(), vec![(vec![3], Err(Kind::Overflow))]);
}

#[test]
fn a_registry_that_asks_for_peace_after_the_request_was_given_up_has_it() {
    let mut driver = Driver::new(unlimited());
    let first = driver.repository("reg.io", "first");
    driver.want(first, 1);
    let (op, _) = driver.requests.pop_front().expect("a request");
    let second = driver.repository("reg.io", "second");
    driver.registry.release(first);
    let throttled = with(429, &[("retry-after", "30")], "");
    driver.complete(op, HttpOutcome::Response(throttled));
    assert_eq!(driver.cancels, [op]);
    driver.want(second, 2);
    driver.pass(Duration::from_millis(29_999));
    assert!(driver.requests.is_empty(), "asked within the window");
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.requests.len(), 1);
}

#[test]
fn a_forgotten_repository_has_no_endpoint_to_tell_of() {
    let mut driver = Driver::new(unlimited());
    let app = driver.repository("elsewhere.io", "org/app");
    let told = |driver: &Driver| {
        let endpoint = driver.registry.find_endpoint_of(app)?;
        Some(endpoint.settings().api_url.clone())
    };
    assert_eq!(told(&driver).as_deref(), Some("https://elsewhere.io"));
    driver.registry.release(app);
    assert_eq!(told(&driver), None);
}
