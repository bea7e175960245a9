//! Facts that grew old: a few are asked for again at a time, and what is known stays known.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;

use super::driver::{Driver, with};
use super::facts::{INDEX, digest, driver_with, index, typed};
use crate::http::{HttpOutcome, HttpResponse};
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
        created_age_max: Duration::from_secs(250),
        revalidations_max: 3,
        ..RegistrySettings::default()
    })
}
