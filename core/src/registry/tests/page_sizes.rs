//! Lists that came in pages are asked for in larger ones, where the registry gives them.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::driver::{Driver, with};
use crate::http::{HttpOutcome, HttpRequest, HttpResponse, TransportFailure, TransportKind};
use crate::registry::{
    EndpointSettings, LookupFailureKind as Kind, RegistrySettings, RepositoryId,
};

const INTERVAL: Duration = Duration::from_secs(100);

fn driver() -> (Driver, RepositoryId) {
    let mut driver = Driver::new(RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: INTERVAL,
        ..RegistrySettings::default()
    });
    let app = driver.repository("reg.io", "org/app");
    (driver, app)
}

/// What follows the path of the first page, and the pages behind it.
fn query(request: &HttpRequest) -> &str {
    let (_, rest) = request.url.split_once("/tags/list").expect("a list");
    rest
}

fn page(tags: Range<u32>, next: Option<&str>) -> HttpResponse {
    let names: Vec<String> = tags.map(|n| format!("\"1.0.{n}\"")).collect();
    let body = format!(r#"{{"tags":[{}]}}"#, names.join(","));
    let link = next.map(|next| format!("<{next}>; rel=next"));
    let headers: Vec<(&str, &str)> = link.iter().map(|link| ("link", &**link)).collect();
    with(200, &headers, body)
}

/// A registry with `n_tags` in pages of 100, or of `large` where that is asked for.
fn registry(n_tags: u32, large: u32) -> impl Fn(&str) -> HttpResponse {
    move |query| {
        let asked = query.contains("n=1000");
        let size = if asked { large } else { 100 };
        let first = query
            .rsplit_once("last=")
            .map_or(0, |(_, last)| last.parse().expect("a number"));
        let end = n_tags.min(first + size);
        let n = if asked { "n=1000&" } else { "" };
        let next = (end < n_tags).then(|| format!("?{n}last={end}"));
        page(first..end, next.as_deref())
    }
}

/// One interval: the list is wanted, all requests are answered; returns what they asked for.
fn list(
    driver: &mut Driver,
    app: RepositoryId,
    answer: &dyn Fn(&str) -> HttpResponse,
) -> Vec<String> {
    driver.want(app, 1);
    let mut asked = Vec::new();
    for _ in 0..20 {
        while let Some((op, request)) = driver.requests.pop_front() {
            let query = String::from(query(&request));
            driver.complete(op, HttpOutcome::Response(answer(&query)));
            asked.push(query);
        }
        driver.pass(Duration::from_secs(1));
    }
    driver.pass(Duration::from_secs(80));
    asked
}

#[test]
fn a_list_in_pages_is_asked_for_in_larger_ones_from_the_next_time_on() {
    let (mut driver, app) = driver();
    let answer = registry(250, 1000);
    assert_eq!(
        list(&mut driver, app, &answer),
        ["", "?last=100", "?last=200"]
    );
    for _ in 0..3 {
        assert_eq!(list(&mut driver, app, &answer), ["?n=1000"]);
        assert_eq!(driver.tags(app).len(), 250);
    }
    // It grows beyond what such a page holds.
    let answer = registry(1250, 1000);
    for _ in 0..2 {
        let asked = list(&mut driver, app, &answer);
        assert_eq!(asked, ["?n=1000", "?n=1000&last=1000"]);
        assert_eq!(driver.tags(app).len(), 1250);
    }
}

#[test]
fn a_list_that_comes_whole_is_never_asked_for_with_a_size() {
    let (mut driver, app) = driver();
    for n_tags in [1, 99, 100] {
        for _ in 0..2 {
            assert_eq!(list(&mut driver, app, &registry(n_tags, 1000)), [""]);
        }
    }
}

#[test]
fn a_registry_whose_pages_stay_as_they_are_is_asked_for_its_own() {
    let (mut driver, app) = driver();
    let answer = registry(150, 100);
    let own = ["", "?last=100"];
    assert_eq!(list(&mut driver, app, &answer), own);
    let asked = list(&mut driver, app, &answer);
    assert_eq!(asked, ["?n=1000", "?n=1000&last=100"]);
    for _ in 0..3 {
        assert_eq!(list(&mut driver, app, &answer), own);
        assert_eq!(driver.tags(app).len(), 150);
    }
}

#[test]
fn a_registry_that_refuses_the_size_is_asked_without_it_at_once_and_from_then_on() {
    let looping = || page(0..7, Some("?n=1000"));
    let refusals: [(&str, &dyn Fn() -> HttpResponse); 9] = [
        ("400", &|| with(400, &[], "")),
        ("404", &|| with(404, &[], "")),
        ("405", &|| with(405, &[], "")),
        ("422", &|| with(422, &[], "")),
        ("501", &|| with(501, &[], "")),
        ("500", &|| with(500, &[], "")),
        ("no page", &|| with(200, &[], "nonsense")),
        ("a loop", &looping),
        ("fewer tags and no link", &|| page(0..50, None)),
    ];
    for (what, refusal) in refusals {
        let (mut driver, app) = driver();
        let whole = registry(150, 1000);
        let answer = |query: &str| {
            if query.contains("n=1000") {
                refusal()
            } else {
                whole(query)
            }
        };
        list(&mut driver, app, &answer);
        let asked = list(&mut driver, app, &answer);
        assert_eq!(asked, ["?n=1000", "", "?last=100"], "{what}");
        for _ in 0..2 {
            assert_eq!(list(&mut driver, app, &answer), ["", "?last=100"], "{what}");
        }
        let told = driver.take_listings();
        assert_eq!(told.len(), 4, "{what}");
        assert!(told.iter().all(|(_, result)| result.is_ok()), "{what}");
        assert_eq!(driver.tags(app).len(), 150, "{what}");
    }
}

#[test]
fn a_list_that_is_cut_off_where_the_page_ends_is_read_in_full() {
    let (mut driver, app) = driver();
    let whole = registry(1700, 1000);
    let answer = |query: &str| match query {
        // It knows the size, and not how to go on.
        "?n=1000" => page(0..1000, None),
        _ => whole(query),
    };
    for _ in 0..3 {
        list(&mut driver, app, &answer);
        assert_eq!(driver.tags(app).len(), 1700);
    }
}

#[test]
fn a_size_that_was_good_stays_so_when_an_attempt_fails() {
    let (mut driver, app) = driver();
    let answer = registry(150, 1000);
    list(&mut driver, app, &answer);
    list(&mut driver, app, &answer);
    driver.want(app, 2);
    let (op, _) = driver.requests.pop_front().expect("a page");
    let failure = TransportFailure {
        kind: TransportKind::Closed,
        detail: "as the test wants".into(),
    };
    driver.complete(op, HttpOutcome::Failed(failure));
    driver.pass(Duration::from_secs(1));
    assert_eq!(list(&mut driver, app, &answer), ["", "?last=100"]);
    assert_eq!(list(&mut driver, app, &answer), ["?n=1000"]);
}

#[test]
fn a_repository_that_went_away_is_asked_for_once_per_interval_and_starts_anew_when_it_is_back() {
    let (mut driver, app) = driver();
    let answer = registry(150, 1000);
    list(&mut driver, app, &answer);
    list(&mut driver, app, &answer);
    let gone = |_: &str| with(404, &[], r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
    assert_eq!(list(&mut driver, app, &gone), ["?n=1000", ""]);
    assert_eq!(list(&mut driver, app, &gone), [""]);
    let told = driver.take_listings();
    assert_eq!(told[2].1, Err(Kind::Missing));
    assert_eq!(list(&mut driver, app, &answer), ["", "?last=100"]);
    assert_eq!(list(&mut driver, app, &answer), ["?n=1000"]);
}

#[test]
fn a_forbidden_size_costs_one_list() {
    let (mut driver, app) = driver();
    let whole = registry(150, 1000);
    let answer = |query: &str| {
        if query.contains("n=1000") {
            with(403, &[], "")
        } else {
            whole(query)
        }
    };
    list(&mut driver, app, &answer);
    list(&mut driver, app, &answer);
    for _ in 0..3 {
        driver.pass(INTERVAL * 10);
        assert_eq!(list(&mut driver, app, &answer), ["", "?last=100"]);
    }
}

#[test]
fn a_large_page_that_is_the_whole_list_is_asked_for_on_a_condition() {
    let (mut driver, app) = driver();
    let whole = registry(151, 1000);
    let tagged = |query: &str| {
        let mut response = whole(query);
        response
            .headers
            .push(("etag".into(), format!("\"{query}\"")));
        response
    };
    list(&mut driver, app, &tagged);
    list(&mut driver, app, &tagged);
    driver.want(app, 2);
    let sent = driver.answer("?n=1000", with(304, &[], ""));
    let has_condition = sent.headers.iter().any(|(name, _)| name == "if-none-match");
    assert!(has_condition, "{:?}", sent.headers);
    assert_eq!(driver.tags(app).len(), 151);
}
