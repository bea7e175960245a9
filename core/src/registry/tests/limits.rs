//! What registries say about their limits, and what becomes of those who wait: windows, rates, quotas, slots,
//! turns, the budget of further attempts.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::{HttpOutcome, TransportFailure, TransportKind};
use crate::registry::{
    EndpointSettings, FactsKind, Held, LookupFailureKind as Kind, RegistryOutcome, RegistrySettings,
};

fn settings(rate_max: Option<u32>) -> RegistrySettings {
    let endpoints = ["reg.io", "other.io"].map(|host| EndpointSettings {
        rate_max,
        ..EndpointSettings::inferred(host)
    });
    RegistrySettings {
        endpoints: endpoints.to_vec(),
        ..RegistrySettings::default()
    }
}

fn no_local_port() -> HttpOutcome {
    HttpOutcome::Failed(TransportFailure {
        kind: TransportKind::NoLocalPort,
        detail: String::from("cannot assign requested address"),
    })
}

fn rates(driver: &mut Driver) -> Vec<Option<u64>> {
    driver.take(|outcome| {
        let RegistryOutcome::PaceChanged { rate, .. } = outcome else {
            return None;
        };
        Some(*rate)
    })
}

fn caps(driver: &mut Driver) -> Vec<u32> {
    driver.take(|outcome| {
        let RegistryOutcome::SlotsChanged { cap, .. } = outcome else {
            return None;
        };
        Some(*cap)
    })
}

/// Answers every request that there is, the ones that follow included.
fn answer_all(driver: &mut Driver, body: &str) {
    while !driver.requests.is_empty() {
        driver.answer("", ok(body));
    }
}

#[test]
fn a_refusal_is_waited_for_as_long_as_it_says_in_whatever_form() {
    for (headers, body, wait_ms) in [
        (&[("retry-after", "30")][..], "", 30_000),
        (
            &[("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT")],
            "",
            30_000,
        ),
        (
            &[
                ("retry-after", "Sun Nov  6 08:50:02 1994"),
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
            "",
            25_000,
        ),
        (
            &[],
            "toomanyrequests: retry-after: 5.5s, allowed: 44000/minute",
            5_500,
        ),
        (
            &[],
            r#"{"errors":[{"message":"try again in 1500ms"}]}"#,
            1_500,
        ),
        (
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "20")],
            "",
            20_000,
        ),
    ] {
        let mut driver = Driver::new(settings(None));
        let app = driver.repository("reg.io", "app");
        driver.want(app, 1);
        driver.answer("list", with(429, headers, body));
        driver.pass(Duration::from_millis(wait_ms - 1));
        assert!(driver.requests.is_empty(), "{headers:?} {body}");
        driver.pass(Duration::from_millis(1));
        assert_eq!(driver.requests.len(), 1, "{headers:?} {body}");
        driver.answer("list", ok(r#"{"tags":[]}"#));
        assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    }
}

#[test]
fn what_is_past_or_too_short_to_matter_is_waited_for_like_any_failed_attempt() {
    for (headers, body) in [
        (&[][..], ""),
        (&[("retry-after", "0")], ""),
        (&[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")], ""),
        (&[], "retry-after: 527.404\u{b5}s"),
    ] {
        let mut driver = Driver::new(settings(None));
        let app = driver.repository("reg.io", "app");
        driver.want(app, 1);
        driver.answer("list", with(429, headers, body));
        driver.pass(Duration::from_millis(139));
        assert!(driver.requests.is_empty(), "{headers:?} {body}");
        driver.pass(Duration::from_millis(121));
        assert_eq!(driver.requests.len(), 1, "{headers:?} {body}");
    }
}

#[test]
fn a_day_of_peace_is_an_hour_and_those_who_ask_meanwhile_are_told_how_long() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    driver.answer("list", with(429, &[("retry-after", "86400")], ""));
    let other = driver.repository("reg.io", "other");
    driver.want(other, 2);
    let told: Vec<String> = driver.take(|outcome| {
        let RegistryOutcome::ListingFinished {
            result: Err(failure),
            ..
        } = outcome
        else {
            return None;
        };
        Some(format!("{failure}"))
    });
    assert_eq!(told.len(), 2);
    for told in &told {
        assert!(told.contains("left alone for 3600 s"), "{told}");
    }
    driver.pass(Duration::from_secs(3_599));
    driver.want(other, 3);
    assert!(driver.requests.is_empty());
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.requests.len(), 1);
}

#[test]
fn a_window_that_is_used_up_is_waited_for_before_anything_is_refused() {
    let mut driver = Driver::new(settings(None));
    let app = driver.repository("reg.io", "app");
    driver.want(app, 1);
    let used_up = [
        ("ratelimit-limit", "10"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "9"),
    ];
    driver.answer("list", with(200, &used_up, r#"{"tags":[]}"#));
    assert_eq!(driver.take_listings(), vec![(vec![1], Ok(true))]);
    let other = driver.repository("reg.io", "other");
    driver.want(other, 2);
    driver.pass(Duration::from_millis(8_999));
    assert!(driver.requests.is_empty());
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.requests.len(), 1);
    assert_eq!(rates(&mut driver), [], "nothing was refused");
}

#[test]
fn a_refusal_halves_the_rate_and_good_answers_restore_it() {
    let mut driver = Driver::new(settings(Some(10)));
    let app = driver.repository("reg.io", "app");
    driver.want(app, 0);
    driver.answer("list", with(429, &[("retry-after", "1")], ""));
    assert_eq!(rates(&mut driver), [Some(5_000)]);
    driver.pass(Duration::from_secs(1));
    answer_all(&mut driver, r#"{"tags":[]}"#);
    let ids: Vec<_> = (0..3)
        .map(|n| driver.repository("reg.io", &format!("app{n}")))
        .collect();
    driver.pass(Duration::from_secs(5));
    for id in &ids {
        driver.want(*id, 1);
    }
    assert_eq!(driver.requests.len(), 1);
    driver.pass(Duration::from_millis(150));
    assert_eq!(driver.requests.len(), 1, "at the full rate there were two");
    driver.pass(Duration::from_millis(50));
    assert_eq!(driver.requests.len(), 2);
    driver.pass(Duration::from_millis(200));
    answer_all(&mut driver, r#"{"tags":[]}"#);
    let n_minutes = (1..20).find(|n| {
        for id in &ids {
            driver.want(*id, 100 + n);
        }
        for _ in 0..12 {
            driver.pass(Duration::from_secs(10));
            answer_all(&mut driver, r#"{"tags":[]}"#);
        }
        rates(&mut driver).contains(&None)
    });
    assert!(n_minutes.is_some_and(|n| n > 3), "slowly: {n_minutes:?}");
}

/// Challenges what shows nothing and gives out tokens, until all that is asked shows one.
fn log_in(driver: &mut Driver) {
    let bearer = "Bearer realm=\"https://auth.io/t\",service=\"s\"";
    for _ in 0..10 {
        let place = driver
            .requests
            .iter()
            .position(|(_, request)| request.url.contains("auth.io") || shown(request).is_none());
        if let Some((op, request)) = place.and_then(|place| driver.requests.remove(place)) {
            let answer = if request.url.contains("auth.io") {
                ok(r#"{"token":"canary","expires_in":300}"#)
            } else {
                with(401, &[("www-authenticate", bearer)], "")
            };
            driver.complete(op, HttpOutcome::Response(answer));
        }
        driver.pass(Duration::from_millis(50));
    }
}

/// A registry with tokens, and a lookup of each of two credentials under way.
fn with_two_credentials() -> (Driver, CredentialSource) {
    let mut driver = Driver::new(settings(None));
    let source = CredentialSource::Env("A".into());
    let anonymous = driver.repository("reg.io", "public");
    let own = driver.repository_as("reg.io", "private", Some(&source));
    driver.want(anonymous, 1);
    driver.want(own, 2);
    driver.answer_read("user:canary");
    log_in(&mut driver);
    assert_eq!(driver.requests.len(), 2);
    (driver, source)
}

fn throttled(driver: &mut Driver) -> Vec<Held> {
    driver.take(|outcome| {
        let RegistryOutcome::Throttled { held, .. } = outcome else {
            return None;
        };
        Some(held.clone())
    })
}

#[test]
fn a_refusal_of_one_credential_does_not_stop_another() {
    let (mut driver, source) = with_two_credentials();
    let refused = with(429, &[("retry-after", "30")], "");
    let place = driver
        .requests
        .iter()
        .position(|(_, request)| request.url.contains("private"))
        .expect("a request");
    let (op, _) = driver.requests.remove(place).expect("a request");
    driver.complete(op, HttpOutcome::Response(refused));
    assert_eq!(
        throttled(&mut driver),
        [Held::Account(Some(source.clone()))]
    );
    driver.answer("public/tags/list", ok(r#"{"tags":[]}"#));
    let mine = driver.repository_as("reg.io", "mine", Some(&source));
    let another = driver.repository("reg.io", "another");
    driver.want(mine, 3);
    driver.want(another, 4);
    assert_eq!(driver.requests.len(), 1, "the other account goes on");
    log_in(&mut driver);
    driver.answer("another/tags/list", ok(r#"{"tags":[]}"#));
    driver.pass(Duration::from_secs(29));
    assert!(driver.requests.is_empty(), "{:?}", driver.requests);
    driver.pass(Duration::from_secs(2));
    assert_eq!(driver.requests.len(), 2, "both lookups of the account");
}

#[test]
fn a_refusal_of_a_request_that_showed_nothing_stops_everybody() {
    let mut driver = Driver::new(settings(None));
    let source = CredentialSource::Env("A".into());
    let anonymous = driver.repository("reg.io", "public");
    driver.want(anonymous, 1);
    driver.answer("list", with(429, &[("retry-after", "30")], ""));
    assert_eq!(throttled(&mut driver), [Held::Everybody]);
    let own = driver.repository_as("reg.io", "private", Some(&source));
    driver.want(own, 2);
    assert!(driver.requests.is_empty() && driver.reads.is_empty());
}

#[test]
fn a_long_refusal_of_one_credential_fails_its_own_lookups_only() {
    let (mut driver, source) = with_two_credentials();
    let third = driver.repository_as("reg.io", "third", Some(&source));
    driver
        .requests
        .retain(|(_, request)| request.url.contains("private"));
    driver.want(third, 3);
    driver.answer(
        "private/tags/list",
        with(429, &[("retry-after", "900")], ""),
    );
    let mut told = driver.take_listings();
    told.sort_by_key(|(waiters, _)| waiters.clone());
    assert_eq!(told[0], (vec![2], Err(Kind::Throttled)));
    assert!(told.iter().all(|(waiters, _)| *waiters != [1]), "{told:?}");
    let public = driver.repository("reg.io", "another");
    let mine = driver.repository_as("reg.io", "mine", Some(&source));
    driver.want(public, 4);
    driver.want(mine, 5);
    assert_eq!(
        driver.take_listings(),
        vec![(vec![5], Err(Kind::Throttled))],
        "who else asks is not told so"
    );
}

#[test]
fn a_pull_quota_is_counted_by_account_and_told_when_it_runs_low() {
    let (mut driver, source) = with_two_credentials();
    let low = |driver: &mut Driver| {
        driver.take(|outcome| {
            let RegistryOutcome::QuotaLow { source, quota, .. } = outcome else {
                return None;
            };
            Some((source.clone(), quota.remaining))
        })
    };
    for remaining in ["11;w=21600", "10;w=21600"] {
        let headers = [
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", remaining),
            ("docker-ratelimit-source", "192.0.2.1"),
        ];
        assert_eq!(low(&mut driver), []);
        driver.answer("list", with(200, &headers, r#"{"tags":[]}"#));
    }
    assert_eq!(low(&mut driver), [(Some(source.clone()), 10)]);
    let quotas: Vec<_> = driver.registry.quotas().collect();
    assert_eq!(quotas.len(), 2);
    let (api_url, of, quota) = quotas[1];
    assert_eq!((api_url, of), ("https://reg.io", Some(&source)));
    assert_eq!((quota.limit, quota.remaining), (100, 10));
    assert_eq!(quota.window, Some(Duration::from_hours(6)));
}

#[test]
fn connections_shrink_when_ports_run_out_and_come_back() {
    let mut driver = Driver::new(settings(None));
    let ids: Vec<_> = (0..40)
        .map(|n| {
            let id = driver.repository("reg.io", &format!("app{n}"));
            driver.want(id, n);
            id
        })
        .collect();
    assert_eq!(driver.requests.len(), 15);
    for _ in 0..3 {
        let (op, _) = driver.requests.pop_front().expect("a request");
        driver.complete(op, no_local_port());
    }
    assert_eq!(caps(&mut driver), [7], "one burst halves once");
    assert_eq!(driver.requests.len(), 12, "none is sent above the new cap");
    let (op, _) = driver.requests.pop_front().expect("a request");
    driver.complete(op, no_local_port());
    let other = driver.repository("other.io", "app");
    for n in 0..5 {
        let id = driver.repository("other.io", &format!("app{n}"));
        driver.want(id, 100 + n);
    }
    driver.want(other, 106);
    let n_others = |driver: &Driver| {
        driver
            .requests
            .iter()
            .filter(|(_, request)| request.url.contains("other.io"))
            .count()
    };
    assert_eq!(
        n_others(&driver),
        3,
        "half of the threshold is a reason for everybody"
    );
    for _ in 0..60 {
        driver.pass(Duration::from_millis(900));
        driver
            .requests
            .retain(|(_, request)| !request.url.contains("never"));
    }
    driver.pass(Duration::from_secs(6));
    assert!(n_others(&driver) > 3, "the failures have aged out");
    for round in 0..12 {
        for id in &ids {
            driver.want(*id, 1000 + round);
        }
        while !driver.requests.is_empty() {
            driver.answer("", ok(r#"{"tags":[]}"#));
        }
        driver.pass(Duration::from_secs(130));
    }
    assert_eq!(caps(&mut driver).last(), Some(&15));
}

#[test]
fn exhausted_ports_are_told_once_and_so_is_their_end() {
    let mut driver = Driver::new(settings(None));
    for n in 0..9 {
        let id = driver.repository("reg.io", &format!("app{n}"));
        driver.want(id, n);
    }
    for n in 0..9 {
        let now = driver.now().mono;
        assert_eq!(driver.registry.ports().is_degraded(now), n >= 8);
        let (op, _) = driver.requests.pop_front().expect("a request");
        driver.complete(op, no_local_port());
    }
    let told = |driver: &mut Driver| {
        driver.take(|outcome| {
            if let RegistryOutcome::PortsExhausted { failures } = outcome {
                return Some(Some(*failures));
            }
            (*outcome == RegistryOutcome::PortsRecovered).then_some(None)
        })
    };
    assert_eq!(told(&mut driver), [Some(8)]);
    driver.requests.clear();
    driver.pass(Duration::from_millis(59_999));
    assert_eq!(told(&mut driver), []);
    driver.pass(Duration::from_millis(1));
    assert_eq!(told(&mut driver), [None]);
}

#[test]
fn a_large_repositorys_facts_do_not_hold_up_the_listings_of_others() {
    let mut driver = Driver::new(settings(Some(10)));
    let large = driver.repository("reg.io", "large");
    for n in 0..5_000 {
        driver.want_facts(large, &format!("v{n}"), FactsKind::Created, 1);
    }
    let small: Vec<_> = (0..8)
        .map(|n| driver.repository("reg.io", &format!("small{n}")))
        .collect();
    for id in &small {
        driver.want(*id, 2);
    }
    driver.want_facts(small[0], "v1", FactsKind::Created, 3);
    driver.requests.clear();
    let mut sent = Vec::new();
    for _ in 0..11 {
        driver.pass(Duration::from_millis(100));
        for (op, request) in core::mem::take(&mut driver.requests) {
            sent.push(request.url);
            driver.complete(op, HttpOutcome::Response(ok(r#"{"tags":[]}"#)));
        }
    }
    let n_listings = sent.iter().filter(|url| url.ends_with("list")).count();
    assert_eq!(n_listings, 8, "{sent:?}");
    let n_facts = sent.iter().filter(|url| url.contains("manifests")).count();
    assert!(n_facts >= 2, "facts have every fourth turn: {sent:?}");
    assert!(
        sent.iter().any(|url| url.contains("small0/manifests")),
        "{sent:?}"
    );
}

#[test]
fn an_outage_is_no_storm_of_further_attempts() {
    let mut driver = Driver::new(settings(None));
    let n_lookups = 200;
    for n in 0..n_lookups {
        let id = driver.repository("reg.io", &format!("app{n}"));
        driver.want(id, n);
    }
    let mut n_requests = 0;
    for _ in 0..100 {
        while !driver.requests.is_empty() {
            n_requests += 1;
            driver.answer("", with(500, &[], ""));
        }
        driver.pass(Duration::from_millis(100));
    }
    let n_retries = n_requests - n_lookups;
    assert!((30..=36).contains(&n_retries), "{n_retries}");
    let told = driver.take_listings();
    assert_eq!(told.len(), 200);
    assert!(
        told.iter()
            .all(|(_, result)| *result == Err(Kind::Transient))
    );
    let is_refused = |outcome: &RegistryOutcome| {
        matches!(outcome, RegistryOutcome::RetryRefused { .. }).then_some(())
    };
    assert!(driver.take(is_refused).len() > 100);
    assert!(driver.registry.is_quiescent());
}
