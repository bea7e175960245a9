//! Credentials that change under way, and what one of them may never see of another.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::circuits::{BASIC, BEARER, Fleet, healthy, settings};
use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::{HttpRequest, HttpResponse};
use crate::registry::{FactsKind, LookupFailureKind as Kind, RepositoryId};

const OLD: &str = "Basic dTpjYW5hcnk=";
const NEW: &str = "Basic dTpjYW5hcnky";

fn accepting(login: &'static str, status: u16) -> impl Fn(&HttpRequest) -> HttpResponse {
    move |request| match shown(request) {
        None => with(401, &[BASIC], ""),
        Some(one) if one == login => ok(r#"{"tags":["1"]}"#),
        Some(_) => with(
            status,
            &[BASIC],
            r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired."}]}"#,
        ),
    }
}

#[test]
fn a_login_that_ends_under_load_is_read_anew_once_and_no_check_fails() {
    for status in [401, 403] {
        let mut fleet = Fleet::new(settings(30));
        let ids: Vec<RepositoryId> = (0..50)
            .map(|n| fleet.driver.repository("reg.io", &format!("app{n}")))
            .collect();
        fleet.run(&ids, 60, accepting(OLD, status));
        assert_eq!(fleet.n_reads, 1);
        fleet.contents[0].1 = "u:canary2";
        fleet.run(&ids, 90, accepting(NEW, status));
        assert_eq!(fleet.n_reads, 2, "{status}: one reading for all");
        let told = fleet.failures();
        assert!(told.iter().all(|(_, kind)| kind.is_none()), "{status}");
        assert!(told.len() >= 200, "{}", told.len());
        assert!(fleet.worst() <= 14, "{status}: {}", fleet.worst());
    }
}

#[test]
fn requests_in_flight_with_the_old_login_are_repeated_with_the_new_one() {
    let mut driver = Driver::new(settings(30));
    let ids = ["a", "b", "c"].map(|name| driver.repository("reg.io", name));
    driver.want(ids[0], 1);
    driver.answer_read("u:canary");
    driver.answer("a/tags/list", with(401, &[BASIC], ""));
    driver.answer("a/tags/list", ok(r#"{"tags":["1"]}"#));
    driver.pass(Duration::from_secs(40));
    for id in ids {
        driver.want(id, 2);
    }
    assert_eq!(driver.requests.len(), 3);
    driver.answer("a/tags/list", with(403, &[], ""));
    driver.answer("b/tags/list", with(403, &[], ""));
    assert_eq!(driver.reads.len(), 1, "one reading");
    driver.answer_read("u:canary2");
    driver.answer("c/tags/list", with(403, &[], ""));
    assert!(driver.reads.is_empty(), "what was just read is not doubted");
    driver.take_listings();
    for _ in 0..3 {
        assert_eq!(driver.requests.len(), 1, "a new login goes alone at first");
        let sent = driver.answer("tags/list", ok(r#"{"tags":["1"]}"#));
        assert_eq!(shown(&sent), Some(NEW));
        if driver.requests.len() == 2 {
            break;
        }
    }
    while !driver.requests.is_empty() {
        let sent = driver.answer("tags/list", ok(r#"{"tags":["1"]}"#));
        assert_eq!(shown(&sent), Some(NEW));
    }
    let told = driver.take_listings();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_changed_credential_starts_with_a_closed_circuit() {
    let mut fleet = Fleet::new(settings(20));
    let ids: Vec<RepositoryId> = (0..20)
        .map(|n| fleet.driver.repository("reg.io", &format!("app{n}")))
        .collect();
    fleet.run(&ids, 30, accepting(NEW, 401));
    assert!(
        fleet
            .failures()
            .iter()
            .all(|(_, kind)| matches!(kind, Some(Kind::Denied | Kind::CircuitOpen)))
    );
    fleet.contents[0].1 = "u:canary2";
    fleet.run(&ids, 45, accepting(NEW, 401));
    let told = fleet.failures();
    for id in ids {
        assert!(told.contains(&(id, None)), "{id:?}");
    }
}

#[test]
fn a_forbidden_credential_never_sees_what_another_learnt() {
    let mut fleet = Fleet::new(settings(30));
    let sources = ["good", "bad"].map(|name| CredentialSource::Env(name.into()));
    fleet.contents = vec![
        (sources[0].clone(), "u:canary"),
        (sources[1].clone(), "v:canary"),
    ];
    let ids = sources.each_ref().map(|source| {
        fleet
            .driver
            .repository_as("reg.io", "org/app", Some(source))
    });
    let answer = |request: &HttpRequest| {
        let login = shown(request);
        if request.url.contains("/jwt/auth") {
            return match login {
                Some(OLD) => ok(r#"{"token":"good"}"#),
                _ => ok(r#"{"token":"bad"}"#),
            };
        }
        match login {
            Some("Bearer good") if request.url.ends_with("list") => ok(r#"{"tags":["1"]}"#),
            Some("Bearer good") => ok("{\"schemaVersion\":2,\"config\":{},\"layers\":[]}"),
            Some(_) => with(403, &[], ""),
            None => with(401, &[BEARER], ""),
        }
    };
    fleet.run(&ids[..1], 10, answer);
    let facts = |fleet: &mut Fleet, id, waiter| {
        let known = fleet.driver.want_facts(id, "1", FactsKind::Digest, waiter);
        fleet.serve(&answer);
        known
    };
    assert_eq!(facts(&mut fleet, ids[0], 900), None);
    assert!(facts(&mut fleet, ids[0], 901).is_some());
    fleet.run(&ids, 120, answer);
    assert!(fleet.driver.registry.kept_listing(ids[1]).is_none());
    assert_eq!(facts(&mut fleet, ids[1], 902), None);
    assert_eq!(facts(&mut fleet, ids[1], 903), None);
    let told = fleet.failures();
    assert!(told.contains(&(ids[1], Some(Kind::Denied))));
    for (id, kind) in told {
        assert_eq!(kind.is_some(), id == ids[1]);
    }
    assert_eq!(fleet.driver.tags(ids[0]), ["1"]);
}

#[test]
fn a_new_login_that_is_refused_does_not_keep_the_listing_of_the_old() {
    let mut fleet = Fleet::new(settings(30));
    let app = fleet.driver.repository("reg.io", "org/app");
    fleet.run(&[app], 10, healthy);
    assert_eq!(fleet.driver.tags(app), ["1"]);
    fleet.contents[0].1 = "v:canary";
    fleet.run(&[app], 70, |request| match shown(request) {
        Some(_) if !request.url.contains("/jwt/auth") => with(403, &[], ""),
        _ => healthy(request),
    });
    assert!(fleet.driver.tags(app).is_empty());
}
