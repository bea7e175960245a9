//! Tag lists in pages: what is followed, what is refused, and what becomes of a list that breaks off.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::fixed_cases::{CASES, config};
use crate::http::{HttpOutcome, TransportKind};
use crate::registry::link::ForeignLinks;
use crate::registry::{
    EndpointSettings, LookupFailureKind as Kind, RegistrySettings, RepositoryId,
};

const NEXT: [(&str, &str); 1] = [("link", "<?last=a>; rel=next")];

fn settings() -> RegistrySettings {
    RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: Duration::from_secs(100),
        ..RegistrySettings::default()
    }
}

fn driver() -> (Driver, RepositoryId) {
    let mut driver = Driver::new(settings());
    let app = driver.repository("reg.io", "org/app");
    (driver, app)
}

#[test]
fn a_page_that_fails_has_all_pages_read_again() {
    for status in [500, 502, 408] {
        let (mut driver, app) = driver();
        driver.want(app, 1);
        driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
        driver.answer("?last=a", with(status, &[], ""));
        assert!(driver.take_listings().is_empty(), "a part is no listing");
        driver.pass(Duration::from_secs(1));
        // What was read may be gone by now, and is not taken over.
        driver.answer("tags/list", ok(r#"{"tags":["b"]}"#));
        assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
        assert_eq!(driver.tags(app), ["b"], "{status}");
    }
}

#[test]
fn a_list_that_breaks_off_for_good_is_never_decided_upon() {
    for status in [403, 404, 400] {
        let (mut driver, app) = driver();
        driver.want(app, 1);
        driver.answer("list", ok(r#"{"tags":["old"]}"#));
        driver.pass(Duration::from_secs(100));
        driver.want(app, 2);
        driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
        driver.answer("?last=a", with(status, &[], ""));
        let told = driver.take_listings();
        assert!(told[1].1.is_err(), "{told:?}");
        assert_eq!(driver.tags(app), ["old"], "kept for explanations");
    }
}

#[test]
fn a_repository_that_shrinks_while_its_second_page_hangs_is_read_as_it_is_then() {
    let (mut driver, app) = driver();
    let names: Vec<String> = (0..1000).map(|n| format!("\"1.0.{n}\"")).collect();
    let page = format!(r#"{{"tags":[{}]}}"#, names.join(","));
    driver.want(app, 1);
    driver.answer("tags/list", with(200, &NEXT, page));
    driver.requests.clear();
    driver.pass(Duration::from_secs(64));
    assert_eq!(driver.cancels.len(), 1, "the second page was given up");
    driver.answer("tags/list", ok(r#"{"tags":["1.0.7"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.tags(app), ["1.0.7"]);
}

#[test]
fn the_deadline_of_an_attempt_is_for_all_its_pages() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    for n in 0..6 {
        driver.pass(Duration::from_secs(9));
        let link = format!("<?last={n}>; rel=next");
        let (_, request) = driver.requests.front().expect("a page");
        assert_eq!(request.timeout.as_secs(), 60 - 9 * n, "page {n}");
        let body = format!("{{\"tags\":[\"{n}\"]}}");
        driver.answer("", with(200, &[("link", &*link)], body));
    }
    driver.pass(Duration::from_secs(20));
    let (_, request) = driver.requests.back().expect("a new attempt");
    assert!(request.url.ends_with("tags/list"), "{}", request.url);
}

#[test]
fn a_registry_that_asks_for_a_little_patience_has_the_list_go_on_where_it_was() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
    driver.answer("?last=a", with(429, &[("retry-after", "5")], ""));
    driver.pass(Duration::from_secs(5));
    driver.answer("?last=a", ok(r#"{"tags":["b"]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.tags(app), ["a", "b"]);
}

#[test]
fn a_registry_that_asks_for_long_patience_has_the_list_begin_anew() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
    driver.pass(Duration::from_secs(20));
    driver.answer("?last=a", with(429, &[("retry-after", "50")], ""));
    driver.pass(Duration::from_secs(50));
    driver.answer("tags/list", ok(r#"{"tags":["b"]}"#));
    assert_eq!(driver.tags(app), ["b"]);
}

#[test]
fn a_page_without_tags_may_lead_on_and_one_without_the_member_is_none() {
    for empty in [r#"{"tags":[]}"#, r#"{"tags":null}"#] {
        let (mut driver, app) = driver();
        driver.want(app, 1);
        driver.answer("tags/list", with(200, &NEXT, empty));
        driver.answer("?last=a", ok(r#"{"tags":["b"]}"#));
        assert_eq!(driver.tags(app), ["b"], "{empty}");
    }
    let (mut driver, app) = driver();
    driver.want(app, 1);
    driver.answer("tags/list", with(200, &NEXT, r#"{"name":"org/app"}"#));
    let told = driver.take_listings();
    assert_eq!(told, vec![(vec![1], Err(Kind::Malformed))]);
}

#[test]
fn a_list_that_never_ends_ends_at_our_bound() {
    let mut driver = Driver::new(RegistrySettings {
        pages_max: 50,
        ..settings()
    });
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    let mut n_pages = 0;
    while let Some((op, _)) = driver.requests.pop_front() {
        n_pages += 1;
        let link = format!("<?last={n_pages}>; rel=next");
        let page = with(
            200,
            &[("link", &*link)],
            format!("{{\"tags\":[\"{n_pages}\"]}}"),
        );
        driver.complete(op, HttpOutcome::Response(page));
    }
    assert_eq!(n_pages, 50);
    let told = driver.take_listings();
    assert_eq!(told, vec![(vec![1], Err(Kind::Overflow))]);
    let failure = driver.registry.listing_failure(app).expect("it failed");
    for part in ["more than 50 pages", "docs/registries.md", "delete"] {
        assert!(failure.detail.contains(part), "{failure}");
    }
    assert!(!failure.detail.contains("raise"), "{failure}");
}

#[test]
fn pages_that_tell_nothing_new_are_a_circle_whatever_they_are_called() {
    for (bodies, n_pages) in [
        (&[r#"{"tags":["1.0.0"]}"#][..], 2),
        (&[r#"{"tags":["a","b"]}"#, r#"{"tags":["b","c"]}"#], 3),
        (&[r#"{"tags":[]}"#], 21),
        (&[r#"{"tags":null}"#, r#"{"tags":["a b"]}"#], 21),
        // One tag is new on each of three pages, then none.
        (
            &[
                r#"{"tags":[]}"#,
                r#"{"tags":["a"]}"#,
                r#"{"tags":["a","b"]}"#,
                r#"{"tags":["c","b"]}"#,
            ],
            6,
        ),
    ] {
        let (mut driver, app) = driver();
        driver.want(app, 1);
        for n in 1..=n_pages {
            let link = format!("<?i={n}>; rel=next");
            let body = bodies[(n - 1) % bodies.len()];
            driver.answer("", with(200, &[("link", &*link)], body));
        }
        assert!(driver.requests.is_empty(), "{bodies:?}");
        let told = driver.take_listings();
        assert_eq!(told, vec![(vec![1], Err(Kind::Malformed))], "{bodies:?}");
        let failure = driver.registry.listing_failure(app).expect("it failed");
        let pages = format!("{n_pages} pages of its tag list had been read");
        assert!(failure.detail.contains(&pages), "{failure}");
        assert!(failure.detail.contains("without a tag"), "{failure}");
        driver.pass(Duration::from_secs(90));
        assert!(driver.requests.is_empty(), "it is not tried again");
    }
}

#[test]
fn a_last_page_may_repeat_everything_or_tell_nothing() {
    for last in [r#"{"tags":["a"]}"#, r#"{"tags":[]}"#, r#"{"tags":null}"#] {
        let (mut driver, app) = driver();
        driver.want(app, 1);
        driver.answer("list", with(200, &NEXT, r#"{"tags":["a"]}"#));
        driver.answer("?last=a", ok(last));
        assert_eq!(driver.tags(app), ["a"], "{last}");
    }
}

#[test]
fn time_that_earlier_pages_took_is_not_said_to_be_the_last_ones() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    for _ in 0..3 {
        driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
        driver.pass(Duration::from_millis(59_990));
        driver.fail_request(TransportKind::TimedOut);
        driver.pass(Duration::from_secs(4));
    }
    assert_eq!(
        driver.take_listings(),
        vec![(vec![1], Err(Kind::Transient))]
    );
    let failure = driver.registry.listing_failure(app).expect("it failed");
    for part in ["did not end within 60s", "1 page of its tag list"] {
        assert!(failure.detail.contains(part), "{failure}");
    }
}

#[test]
fn a_proxy_that_forgets_about_tls_is_followed_where_the_page_came_from() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    let plain = [(
        "link",
        "<http://reg.io/v2/org/app/tags/list?last=a>; rel=next",
    )];
    driver.answer("tags/list", with(200, &plain, r#"{"tags":["a"]}"#));
    driver.answer(
        "https://reg.io/v2/org/app/tags/list?last=a",
        ok(r#"{"tags":["b"]}"#),
    );
    assert_eq!(driver.tags(app), ["a", "b"]);
}

#[test]
fn the_failure_of_a_link_elsewhere_says_what_to_do() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    let away = [("link", "<https://evil.io/x?sig=canary>; rel=next")];
    driver.answer("list", with(200, &away, r#"{"tags":["a"]}"#));
    let failure = driver.registry.listing_failure(app).expect("it failed");
    assert!(failure.detail.contains("api_url"), "{failure}");
    assert!(failure.detail.contains("org/app"), "{failure}");
}

#[test]
fn a_page_elsewhere_is_read_where_that_is_configured_and_shown_no_login() {
    let mut settings = settings();
    settings.endpoints[0].foreign_links = ForeignLinks::Followed;
    settings.endpoints[0].credentials = Some(CredentialSource::Env("CREDS".into()));
    let mut driver = Driver::new(settings);
    let app = driver.repository("reg.io", "org/app");
    driver.want(app, 1);
    driver.answer_read("user:canary");
    let basic = [("www-authenticate", "Basic realm=\"r\"")];
    driver.answer("list", with(401, &basic, ""));
    let away = [("link", "<https://pages.example/2>; rel=next")];
    let sent = driver.answer("list", with(200, &away, r#"{"tags":["a"]}"#));
    assert!(shown(&sent).is_some());
    let sent = driver.answer("https://pages.example/2", ok(r#"{"tags":["b"]}"#));
    assert_eq!(shown(&sent), None);
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    assert_eq!(driver.tags(app), ["a", "b"]);
}

#[test]
fn names_that_are_no_tags_are_left_out_and_counted() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    driver.answer("list", ok(r#"{"tags":["a","../x","b c",""]}"#));
    assert_eq!(driver.tags(app), ["a"]);
    let listing = driver.registry.kept_listing(app).expect("a listing");
    assert_eq!(listing.n_refused(), 3);
}

#[test]
fn followers_get_what_the_leader_gets_whatever_that_is() {
    for (n, reply) in [
        with(404, &[], ""),
        with(403, &[], ""),
        ok(r#"{"tags":7}"#),
        ok(r#"{"tags":["1"]}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut driver, app) = driver();
        for waiter in 0..50 {
            assert_eq!(driver.want(app, waiter), "waiting");
        }
        assert_eq!(driver.requests.len(), 1, "one asks for all");
        driver.answer("list", reply);
        let told = driver.take_listings();
        let expected = [
            Err(Kind::Missing),
            Err(Kind::Denied),
            Err(Kind::Malformed),
            Ok(true),
        ];
        assert_eq!(told, vec![((0..50).collect(), expected[n])]);
    }
}

#[test]
fn one_credential_that_is_refused_says_nothing_about_another() {
    let source = |name: &str| CredentialSource::Env(name.into());
    let (mut driver, _) = driver();
    let good = driver.repository_as("reg.io", "org/app", Some(&source("GOOD")));
    let bad = driver.repository_as("reg.io", "org/app", Some(&source("BAD")));
    let ids = [good, bad];
    for id in ids {
        driver.want(id, 1);
        driver.answer_read("user:password");
    }
    assert_eq!(driver.requests.len(), 2, "they are two lookups");
    driver.answer("list", ok(r#"{"tags":["1"]}"#));
    driver.answer("list", with(403, &[], ""));
    let told = driver.take_listings();
    assert_eq!(
        told,
        vec![(vec![1], Ok(true)), (vec![1], Err(Kind::Denied))]
    );
    assert_eq!(ids.map(|id| driver.tags(id).len()), [1, 0]);
}

#[test]
fn a_connection_that_breaks_in_the_middle_is_retried_whole() {
    let (mut driver, app) = driver();
    driver.want(app, 1);
    driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
    let third = [("link", "<?last=b>; rel=next")];
    driver.answer("?last=a", with(200, &third, r#"{"tags":["b"]}"#));
    driver.fail_request(TransportKind::Closed);
    driver.pass(Duration::from_secs(1));
    driver.answer("tags/list", with(200, &NEXT, r#"{"tags":["a"]}"#));
    driver.answer("?last=a", with(200, &third, r#"{"tags":["a","b"]}"#));
    driver.answer("?last=b", ok(r#"{"tags":["c"]}"#));
    assert_eq!(driver.tags(app), ["a", "b", "c"], "nothing twice or lost");
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn any_pages_end_the_listing_with_one_answer(
        pages in prop::collection::vec(any_page(), 1..12),
    ) {
        let mut driver = Driver::new(RegistrySettings { pages_max: 5, ..settings() });
        let app = driver.repository("reg.io", "org/app");
        driver.want(app, 1);
        let mut n_requests = 0;
        for (status, link, body) in pages.iter().cycle().take(100) {
            let Some((op, _)) = driver.requests.pop_front() else {
                break;
            };
            n_requests += 1;
            let page = with(*status, &[("link", &**link), ("etag", "\"x\"")], body);
            driver.complete(op, HttpOutcome::Response(page));
            driver.pass(Duration::from_secs(4));
        }
        prop_assert!(n_requests <= 3 * 5, "{n_requests} requests");
        prop_assert_eq!(driver.take_listings().len(), 1);
        prop_assert!(driver.registry.is_quiescent());
    }
}

/// A status, a link and a body: pages, pieces of pages, and noise.
fn any_page() -> impl Strategy<Value = (u16, String, Vec<u8>)> {
    let page = br#"{"name":"org/app","tags":["1.0","\u00e9","a b",null]}"#;
    let body = prop_oneof![
        Just(br#"{"tags":["a","b"]}"#.to_vec()),
        (0..page.len()).prop_map(|end| page[..end].to_vec()),
        (0..page.len(), any::<u8>()).prop_map(|(at, byte)| {
            let mut page = page.to_vec();
            page[at] = byte;
            page
        }),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let status = prop::sample::select(vec![200, 200, 200, 304, 401, 404, 429, 500]);
    let link = "(<(\\?last=[a-c]|/v2/[a-z?]{0,4}|[ -~]{0,10})>(; *rel=(next|prev))?)?";
    (status, link, body)
}
