//! Shared listings: when one starts, who gets it, what is kept.

use alloc::format;
use alloc::vec;
use core::time::Duration;

use super::driver::{Driver, ok, with};
use crate::registry::{LookupFailureKind as Kind, Observation, RegistryOutcome, RegistrySettings};

const INTERVAL: Duration = Duration::from_secs(100);

fn settings() -> RegistrySettings {
    RegistrySettings {
        interval: INTERVAL,
        ..RegistrySettings::default()
    }
}

#[test]
fn a_repository_is_listed_once_for_everybody() {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    assert_eq!(driver.want(app, 1), "waiting");
    assert_eq!(driver.want(app, 2), "waiting");
    assert_eq!(driver.requests.len(), 1);
    let sent = driver.answer(
        "https://reg.io/v2/org/app/tags/list",
        ok(r#"{"tags":["1","2"]}"#),
    );
    assert!(sent.headers.is_empty(), "{:?}", sent.headers);
    assert_eq!(driver.take_listings(), vec![(vec![1, 2], Ok(true))]);
    assert_eq!(driver.tags(app), ["1", "2"]);
    driver.pass(Duration::from_secs(89));
    assert_eq!(driver.want(app, 3), "kept");
    assert!(driver.requests.is_empty());
}

#[test]
fn a_check_within_a_tenth_of_the_interval_joins_the_next_listing_at_its_due_time() {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.pass(Duration::from_secs(91));
    assert_eq!(driver.want(app, 2), "waiting");
    assert!(driver.requests.is_empty(), "not before it is due");
    driver.pass(Duration::from_secs(8));
    assert!(driver.requests.is_empty(), "not before it is due");
    driver.pass(Duration::from_secs(1));
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Ok(true)), (vec![2], Ok(false))]
    );
    driver.pass(INTERVAL * 3);
    assert_eq!(driver.want(app, 3), "waiting");
    assert_eq!(driver.requests.len(), 1, "overdue: at once");
}

#[test]
fn a_failed_listing_is_told_to_those_who_waited_and_not_hammered() {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.pass(INTERVAL);
    driver.want(app, 2);
    driver.answer("list", with(404, &[], ""));
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Ok(true)), (vec![2], Err(Kind::Missing))]
    );
    assert_eq!(driver.want(app, 3), "missing");
    assert!(driver.requests.is_empty());
    assert_eq!(driver.tags(app), ["1"], "kept for explanations");
    driver.pass(INTERVAL);
    assert_eq!(driver.want(app, 4), "waiting");
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![4], Ok(false))]);
}

#[test]
fn with_once_a_listing_is_never_repeated() {
    let mut driver = Driver::new(RegistrySettings {
        once: true,
        ..settings()
    });
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.pass(INTERVAL * 10);
    assert_eq!(driver.want(app, 2), "kept");
}

#[test]
fn pages_are_followed_in_order() {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let next = [("link", "</v2/org/app/tags/list?last=b&n=2>; rel=\"next\"")];
    driver.answer("tags/list", with(200, &next, r#"{"tags":["a","b"]}"#));
    assert!(driver.take_listings().is_empty(), "a part is no listing");
    driver.pass(Duration::from_secs(1));
    driver.answer("?last=b&n=2", ok(r#"{"tags":["c","a"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.tags(app), ["a", "b", "c"]);
}

#[test]
fn pages_that_lead_in_circles_or_away_are_errors() {
    for target in [
        "/v2/org/app/tags/list",
        "https://evil.io/v2/org/app/tags/list?n=1",
    ] {
        let mut driver = Driver::new(settings());
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        let link = format!("<{target}>; rel=next");
        driver.answer(
            "list",
            with(200, &[("link", link.as_str())], r#"{"tags":["a"]}"#),
        );
        assert_eq!(
            driver.take_listings(),
            vec![(vec![1], Err(Kind::Malformed))]
        );
        assert!(driver.registry.is_quiescent());
    }
}

#[test]
fn a_page_that_fails_is_asked_for_again_and_nothing_is_lost() {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let next = [("link", "<?last=a>; rel=next")];
    driver.answer("tags/list", with(200, &next, r#"{"tags":["a"]}"#));
    driver.pass(Duration::from_secs(1));
    driver.answer("?last=a", with(502, &[], ""));
    driver.pass(Duration::from_secs(1));
    driver.answer("?last=a", ok(r#"{"tags":["b"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.tags(app), ["a", "b"]);
}

#[test]
fn bounds_on_tags_and_pages_are_reasons() {
    for (settings, kind) in [
        (
            RegistrySettings {
                tags_max: 2,
                ..settings()
            },
            Kind::Overflow,
        ),
        (
            RegistrySettings {
                pages_max: 1,
                ..settings()
            },
            Kind::Overflow,
        ),
    ] {
        let mut driver = Driver::new(settings);
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        let next = [("link", "<?last=c>; rel=next")];
        driver.answer("list", with(200, &next, r#"{"tags":["a","b","c"]}"#));
        assert_eq!(driver.take_listings(), vec![(vec![1], Err(kind))]);
    }
}

#[test]
fn the_least_recently_used_listing_goes_when_memory_is_short() {
    let mut driver = Driver::new(RegistrySettings {
        listing_bytes_max: 400,
        ..settings()
    });
    let repositories = ["a", "b", "c"].map(|name| driver.repository("reg.io", name));
    for id in repositories {
        driver.want(id, 1);
        driver.pass(Duration::from_secs(1));
        let body = format!(r#"{{"tags":["{}"]}}"#, "x".repeat(100));
        driver.answer("list", ok(body));
    }
    let is_kept = repositories.map(|id| driver.registry.kept_listing(id).is_some());
    assert_eq!(
        is_kept,
        [false, true, true],
        "{:?}",
        driver.registry.footprint()
    );
    assert_eq!(driver.want(repositories[0], 2), "waiting");
}

#[test]
fn a_released_repository_leaves_nothing_behind() {
    let mut driver = Driver::new(settings());
    let empty = driver.registry.footprint();
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.registry.release(app);
    let (op, _) = driver.requests.pop_front().expect("a request");
    let is_forgotten = |outcome: &RegistryOutcome| {
        matches!(
            outcome,
            RegistryOutcome::Observed(Observation::RepositoryForgotten { .. })
        )
    };
    let told = driver.registry.poll_outcome();
    assert!(told.as_ref().is_some_and(is_forgotten), "{told:?}");
    assert_eq!(driver.registry.poll_outcome(), None);
    driver.complete(op, crate::http::HttpOutcome::Response(ok(r#"{"tags":[]}"#)));
    assert_eq!(driver.cancels, [op]);
    assert!(driver.take_listings().is_empty());
    assert!(driver.registry.is_quiescent());
    assert_eq!(driver.registry.footprint(), empty);
}

#[test]
fn an_id_that_nobody_retains_is_forgotten() {
    let mut driver = Driver::new(settings());
    let empty = driver.registry.footprint();
    for n in 0..10 {
        let name = format!("app{n}");
        driver
            .registry
            .repository("reg.io", &name, None)
            .expect("a good image");
    }
    let held = driver.repository("", "nginx");
    driver.registry.release(held);
    assert_eq!(driver.registry.footprint(), empty);
}
