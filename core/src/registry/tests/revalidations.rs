//! Facts that grew old: a few are asked for again at a time, and what is known stays known.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;

use super::driver::{Driver, with};
use super::facts::{INDEX, digest, driver_with, index, typed};
use crate::http::{HttpOutcome, HttpResponse, Method};
use crate::registry::{FactsKind, LookupFailureKind as Kind, RegistrySettings, RepositoryId};

#[test]
fn old_dates_are_asked_for_again_a_few_at_a_time_the_oldest_first() {
    let (mut driver, app) = few_at_once();
    let index = index(&[("arm64", "{}")]);
    let read = typed(INDEX, &index);
    let headers = [("docker-content-digest", &*digest(&index).to_string())];
    let confirmed = with(200, &headers, "");
    assert_eq!(read_ten(&mut driver, app, 1, &read), "0123456789");
    driver.pass(Duration::from_mins(5));
    for (round, expected) in ["012", "345", "678", "019", "234", "567"]
        .iter()
        .enumerate()
    {
        let asked = read_ten(&mut driver, app, 2, &confirmed);
        assert_eq!(asked, *expected, "round {round}");
        let again = read_ten(&mut driver, app, 3, &confirmed);
        assert_eq!(again, "", "round {round}: others share what was asked");
        for tag in 0..10 {
            let known = driver.want_facts(app, &tag.to_string(), FactsKind::Created, 4);
            assert!(known.is_some(), "round {round}: tag {tag} stays known");
        }
        driver.pass(Duration::from_secs(100));
    }
}

#[test]
fn an_old_date_that_could_not_be_confirmed_is_the_first_to_be_asked_for_again() {
    let (mut driver, app) = few_at_once();
    let index = index(&[("arm64", "{}")]);
    let headers = [("docker-content-digest", &*digest(&index).to_string())];
    read_ten(&mut driver, app, 1, &typed(INDEX, &index));
    driver.pass(Duration::from_mins(5));
    let refused = with(403, &[], "");
    assert_eq!(read_ten(&mut driver, app, 2, &refused), "012");
    driver.pass(Duration::from_secs(100));
    let confirmed = with(200, &headers, "");
    assert_eq!(read_ten(&mut driver, app, 3, &confirmed), "012");
    driver.pass(Duration::from_secs(100));
    assert_eq!(read_ten(&mut driver, app, 4, &confirmed), "345");
}

#[test]
fn tags_known_to_be_missing_are_not_all_asked_about_again_at_once() {
    let (mut driver, app) = few_at_once();
    let missing = with(404, &[], "");
    assert_eq!(read_ten(&mut driver, app, 1, &missing).len(), 10);
    driver.pass(Duration::from_secs(100));
    assert_eq!(read_ten(&mut driver, app, 2, &missing), "012");
    let failure = driver.failure_of_facts(app, "9", 2).expect("it is missing");
    assert_eq!(failure.kind, Kind::Missing);
    driver.pass(Duration::from_secs(100));
    assert_eq!(read_ten(&mut driver, app, 3, &missing), "345");
}

#[test]
fn tags_that_nobody_wants_any_more_hold_nobody_up() {
    let (mut driver, app) = few_at_once();
    let index = index(&[("arm64", "{}")]);
    read_ten(&mut driver, app, 1, &typed(INDEX, &index));
    // Only the last tag is wanted from here on; the others grow old.
    let mut n_asked = 0;
    for round in 0..12 {
        driver.pass(Duration::from_secs(100));
        driver.want_facts(app, "9", FactsKind::Created, round);
        while let Some((op, _)) = driver.requests.pop_front() {
            n_asked += 1;
            let headers = [("docker-content-digest", &*digest(&index).to_string())];
            driver.complete(op, HttpOutcome::Response(with(200, &headers, "")));
        }
    }
    assert!(n_asked >= 3, "asked {n_asked} times");
}

#[test]
fn a_first_reading_that_outlasts_its_check_goes_on_with_the_next() {
    let (mut driver, app) = driver_with(&RegistrySettings {
        in_flight_max: 1,
        ..RegistrySettings::default()
    });
    let index = index(&[("arm64", "{}")]);
    let want = |driver: &mut Driver, waiter: u64| {
        let known = |tag: &u64| {
            let tag = tag.to_string();
            driver
                .want_facts(app, &tag, FactsKind::Created, waiter)
                .is_some()
        };
        (0..10).filter(known).count()
    };
    for check in 0..5 {
        let n_known = want(&mut driver, check);
        assert_eq!(u64::try_from(n_known), Ok(2 * check), "check {check}");
        for n in 0..2 {
            let url_end = format!("manifests/{}", 2 * check + n);
            driver.answer(&url_end, typed(INDEX, &index));
        }
        driver.pass(Duration::from_secs(55));
    }
    assert_eq!(want(&mut driver, 9), 10);
    assert!(driver.requests.is_empty());
}

/// Wants the dates of tags `0` to `9`, answers what is asked, and returns the tags asked about.
fn read_ten(driver: &mut Driver, app: RepositoryId, waiter: u64, reply: &HttpResponse) -> String {
    for tag in 0..10 {
        driver.want_facts(app, &tag.to_string(), FactsKind::Created, waiter);
    }
    let mut asked = String::new();
    while let Some((op, request)) = driver.requests.pop_front() {
        asked.extend(request.url.chars().last());
        driver.complete(op, HttpOutcome::Response(reply.clone()));
    }
    asked
}

fn few_at_once() -> (Driver, RepositoryId) {
    driver_with(&RegistrySettings {
        created_age_min: Duration::from_secs(250),
        created_age_max: Duration::from_secs(250),
        revalidations_max: 3,
        ..RegistrySettings::default()
    })
}

#[test]
fn a_date_is_asked_for_again_ever_later_while_its_tag_stays_where_it_is() {
    let (mut driver, app) = driver_with(&RegistrySettings::default());
    let reply = |content: &str, is_head: bool| {
        let index = index(&[("arm64", content)]);
        if is_head {
            let headers = [("docker-content-digest", &*digest(&index).to_string())];
            return with(200, &headers, "");
        }
        typed(INDEX, &index)
    };
    // Wants the date every 100 s, and returns after how many minutes its tag is asked about.
    let mut minutes_until_asked = |content: &str| {
        let begun = driver.now().mono;
        loop {
            driver.want_facts(app, "1", FactsKind::Created, 1);
            if !driver.requests.is_empty() {
                break;
            }
            driver.pass(Duration::from_secs(100));
        }
        let minutes = driver.now().mono.since(begun).as_secs() / 60;
        while let Some((op, request)) = driver.requests.pop_front() {
            let is_head = request.method == Method::Head;
            driver.complete(op, HttpOutcome::Response(reply(content, is_head)));
        }
        minutes
    };
    assert_eq!(minutes_until_asked("a"), 0);
    for hours in [1, 2, 4, 8, 16, 24, 24] {
        let minutes = minutes_until_asked("a");
        let expected = hours * 45 - 2..=hours * 60;
        assert!(expected.contains(&minutes), "{hours} h: {minutes} min");
    }
    // It moved, which is noticed within a day; from then on it is looked at more often again.
    assert!(minutes_until_asked("b") <= 24 * 60);
    for hours in [1, 2] {
        let minutes = minutes_until_asked("b");
        let expected = hours * 45 - 2..=hours * 60;
        assert!(expected.contains(&minutes), "{hours} h: {minutes} min");
    }
}

#[test]
fn dates_that_were_read_together_are_asked_for_again_at_different_times() {
    let (mut driver, app) = driver_with(&RegistrySettings::default());
    let want_all = |driver: &mut Driver| {
        for tag in 0..100 {
            driver.want_facts(app, &format!("1.{tag}"), FactsKind::Created, 1);
        }
        let mut n_asked = 0;
        while let Some((op, request)) = driver.requests.pop_front() {
            n_asked += 1;
            let index = index(&[("arm64", request.url.rsplit('.').next().expect("a tag"))]);
            let own = digest(&index).to_string();
            let headers = [("content-type", INDEX), ("docker-content-digest", &*own)];
            let body = if request.method == Method::Head {
                ""
            } else {
                &*index
            };
            driver.complete(op, HttpOutcome::Response(with(200, &headers, body)));
        }
        n_asked
    };
    assert_eq!(want_all(&mut driver), 100);
    let mut n_asked = [0; 36];
    for n_asked in &mut n_asked {
        driver.pass(Duration::from_secs(100));
        *n_asked = want_all(&mut driver);
    }
    assert_eq!(n_asked.iter().sum::<i32>(), 100, "{n_asked:?}");
    assert!(n_asked.iter().all(|n| *n <= 25), "{n_asked:?}");
}

#[test]
fn a_digest_that_is_followed_is_asked_for_at_each_interval_however_often_it_was_the_same() {
    let (mut driver, app) = driver_with(&RegistrySettings::default());
    let index = index(&[("arm64", "{}")]);
    let own = digest(&index).to_string();
    let headers = [("content-type", INDEX), ("docker-content-digest", &*own)];
    for round in 0..30 {
        driver.want_facts(app, "latest", FactsKind::Digest, round);
        let (op, request) = driver.requests.pop_front().expect("it is asked for");
        let body = if request.method == Method::Head {
            ""
        } else {
            &*index
        };
        driver.complete(op, HttpOutcome::Response(with(200, &headers, body)));
        driver.pass(Duration::from_secs(100));
    }
}
