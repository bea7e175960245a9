//! Registries that say no are not hammered, and nobody else pays for it.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::driver::{Driver, ok, shown, with};
use crate::credential::CredentialSource;
use crate::http::{HttpOutcome, HttpRequest, HttpResponse};
use crate::registry::{
    CircuitState, EndpointSettings, LookupFailureKind as Kind, RegistryOutcome, RegistrySettings,
    RepositoryId,
};
use crate::time::Time;

pub(super) const BEARER: (&str, &str) = (
    "www-authenticate",
    "Bearer realm=\"https://auth.io/jwt/auth\",service=\"reg\"",
);
pub(super) const BASIC: (&str, &str) = ("www-authenticate", "Basic realm=\"r\"");

pub(super) fn settings(interval_secs: u64) -> RegistrySettings {
    RegistrySettings {
        endpoints: vec![EndpointSettings {
            rate_max: None,
            credentials: Some(CredentialSource::Env("CREDS".into())),
            ..EndpointSettings::inferred("reg.io")
        }],
        interval: Duration::from_secs(interval_secs),
        ..RegistrySettings::default()
    }
}

/// A registry with a token server, and a fleet that asks for it.
pub(super) struct Fleet {
    pub(super) driver: Driver,
    /// What each credential source holds, by its text.
    pub(super) contents: Vec<(CredentialSource, &'static str)>,
    pub(super) n_reads: usize,
    /// When a login failed.
    pub(super) failed: Vec<Time>,
    told: Vec<(RepositoryId, Option<Kind>)>,
    states: Vec<&'static str>,
}

impl Fleet {
    pub(super) fn new(settings: RegistrySettings) -> Self {
        Self {
            driver: Driver::new(settings),
            contents: vec![(CredentialSource::Env("CREDS".into()), "u:canary")],
            n_reads: 0,
            failed: Vec::new(),
            told: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Lets time pass, answers everything, and has every repository looked at once a second.
    pub(super) fn run(
        &mut self,
        repositories: &[RepositoryId],
        secs: u64,
        answer: impl Fn(&HttpRequest) -> HttpResponse,
    ) {
        for second in 0..secs {
            if second % 2 == 0 {
                for (waiter, id) in (0..).zip(repositories) {
                    self.driver.want(*id, waiter);
                }
            }
            for _ in 0..4 {
                self.serve(&answer);
                self.driver.pass(Duration::from_millis(250));
            }
            self.note_told();
        }
    }

    /// Takes out what was told, which else grows.
    fn note_told(&mut self) {
        let told = self.driver.take(|outcome| Some(outcome.clone()));
        for outcome in told {
            match outcome {
                RegistryOutcome::ListingFinished {
                    repository, result, ..
                } => {
                    let kind = result.err().map(|failure| failure.kind);
                    self.told.push((repository, kind));
                }
                RegistryOutcome::CircuitChanged { state, .. } => {
                    self.states.push(state.as_str());
                }
                RegistryOutcome::FactsFinished { .. }
                | RegistryOutcome::CredentialFailed { .. }
                | RegistryOutcome::RequestSent { .. }
                | RegistryOutcome::Observed(_)
                | RegistryOutcome::RequestFinished { .. }
                | RegistryOutcome::Retried { .. }
                | RegistryOutcome::RetryRefused { .. }
                | RegistryOutcome::PaceChanged { .. }
                | RegistryOutcome::SlotsChanged { .. }
                | RegistryOutcome::QuotaCounted { .. }
                | RegistryOutcome::QuotaLow { .. }
                | RegistryOutcome::PortsExhausted { .. }
                | RegistryOutcome::PortsRecovered
                | RegistryOutcome::Throttled { .. }
                | RegistryOutcome::Stalled { .. }
                | RegistryOutcome::Reopened { .. } => {}
            }
        }
    }

    pub(super) fn serve(&mut self, answer: &impl Fn(&HttpRequest) -> HttpResponse) {
        loop {
            while let Some((_, source)) = self.driver.reads.front().cloned() {
                let found = self.contents.iter().find(|(one, _)| *one == source);
                self.n_reads += 1;
                self.driver.answer_read(found.expect("a known source").1);
            }
            let Some((op, request)) = self.driver.requests.pop_front() else {
                return;
            };
            let response = answer(&request);
            let is_login = request.url.contains("/jwt/auth")
                || shown(&request).is_some_and(|header| header.starts_with("Basic"));
            if is_login && response.status == 401 {
                self.failed.push(self.driver.now().mono);
            }
            self.driver.complete(op, HttpOutcome::Response(response));
        }
    }

    /// The most failed logins in any three minutes.
    pub(super) fn worst(&self) -> usize {
        let window = Duration::from_mins(3);
        let from = |at: &Time| {
            let at = *at;
            self.failed
                .iter()
                .filter(|one| **one >= at && one.since(at) < window)
                .count()
        };
        self.failed.iter().map(from).max().unwrap_or(0)
    }

    /// How listings ended since the last call.
    pub(super) fn failures(&mut self) -> Vec<(RepositoryId, Option<Kind>)> {
        self.note_told();
        core::mem::take(&mut self.told)
    }

    fn circuit_changes(&mut self) -> Vec<&'static str> {
        self.note_told();
        core::mem::take(&mut self.states)
    }
}

/// Tokens for everybody, and lists for whoever shows one.
pub(super) fn healthy(request: &HttpRequest) -> HttpResponse {
    if request.url.contains("/jwt/auth") {
        return ok(r#"{"token":"t","expires_in":60}"#);
    }
    match shown(request) {
        Some(_) => ok(r#"{"tags":["1"]}"#),
        None => with(401, &[BEARER], ""),
    }
}

fn tokenless(request: &HttpRequest) -> HttpResponse {
    if request.url.contains("/jwt/auth") {
        with(401, &[], "")
    } else {
        match shown(request) {
            Some("Bearer t") => with(401, &[BEARER], ""),
            _ => healthy(request),
        }
    }
}

fn fifty(fleet: &mut Fleet) -> Vec<RepositoryId> {
    (0..50)
        .map(|n| fleet.driver.repository("reg.io", &format!("app{n}")))
        .collect()
}

#[test]
fn a_token_server_that_refuses_for_five_minutes_sees_few_failed_logins_and_heals() {
    for starts_well in [false, true] {
        let mut fleet = Fleet::new(settings(20));
        let ids = fifty(&mut fleet);
        if starts_well {
            fleet.run(&ids, 60, healthy);
            assert!(fleet.failures().iter().all(|(_, kind)| kind.is_none()));
        }
        fleet.run(&ids, 300, tokenless);
        assert!(fleet.failed.len() >= 3, "it is tried again by itself");
        assert!(fleet.worst() <= 15, "{} failed logins", fleet.worst());
        let kinds: Vec<_> = fleet.failures();
        assert!(
            kinds
                .iter()
                .any(|(_, kind)| *kind == Some(Kind::CircuitOpen))
        );
        fleet.run(&ids, 600, healthy);
        fleet.failures();
        fleet.run(&ids, 45, healthy);
        let after = fleet.failures();
        for id in &ids {
            assert!(after.contains(&(*id, None)), "{id:?} is listed again");
        }
        assert!(after.iter().all(|(_, kind)| kind.is_none()));
        assert_eq!(fleet.circuit_changes().last(), Some(&"closed"));
        fleet.run(&[], 120, healthy);
        for id in ids {
            fleet.driver.registry.release(id);
        }
        assert_eq!(fleet.driver.registry.circuits().count(), 0, "A11");
    }
}

#[test]
fn many_wrong_credentials_together_stay_within_the_bound() {
    let mut fleet = Fleet::new(settings(20));
    let good = fleet.driver.repository("reg.io", "good");
    fleet.run(&[good], 60, healthy);
    let mut ids = vec![good];
    for n in 0..40 {
        let source = CredentialSource::Env(format!("WRONG{n}").into());
        let content: &'static str = alloc::boxed::Box::leak(format!("u:w{n}").into_boxed_str());
        fleet.contents.push((source.clone(), content));
        for app in 0..5 {
            let name = format!("app{n}-{app}");
            ids.push(fleet.driver.repository_as("reg.io", &name, Some(&source)));
        }
    }
    fleet.failures();
    // u:canary is the only login that is accepted.
    fleet.run(&ids, 400, |request| {
        let is_good = shown(request) == Some("Basic dTpjYW5hcnk=");
        if request.url.contains("/jwt/auth") && !is_good {
            with(401, &[], "")
        } else {
            healthy(request)
        }
    });
    assert!(fleet.worst() <= 8, "{} failed logins", fleet.worst());
    let told = fleet.failures();
    let n_good = told.iter().filter(|(id, _)| *id == good).count();
    assert!(n_good >= 18, "{n_good} listings in 400 s");
    assert!(
        told.iter().all(|(id, kind)| *id != good || kind.is_none()),
        "a healthy credential is not shut out"
    );
}

#[test]
fn one_forbidden_repository_concerns_nobody_else_and_is_asked_for_seldom() {
    let mut fleet = Fleet::new(settings(5));
    let ids = fifty(&mut fleet);
    let asked = core::cell::RefCell::new(0_u32);
    fleet.run(&ids, 180, |request| {
        if request.url.contains("/app7/") && shown(request).is_some() {
            *asked.borrow_mut() += 1;
            return with(403, &[], "");
        }
        healthy(request)
    });
    let asked = *asked.borrow();
    assert!((2..=9).contains(&asked), "{asked} requests");
    let told = fleet.failures();
    for (id, kind) in &told {
        if *id == ids[7] {
            assert!(matches!(kind, Some(Kind::Denied | Kind::CircuitOpen)));
        } else {
            assert_eq!(*kind, None);
        }
    }
    fleet.run(&ids, 200, healthy);
    assert_eq!(fleet.driver.tags(ids[7]), ["1"], "it heals by itself");
    assert!(fleet.circuit_changes().is_empty());
}

#[test]
fn a_wrong_password_by_basic_is_probed_by_one_request_at_a_time() {
    let mut fleet = Fleet::new(settings(10));
    let ids = fifty(&mut fleet);
    let wrong = |_: &HttpRequest| with(401, &[BASIC], "");
    fleet.run(&ids, 55, wrong);
    assert_eq!(fleet.failed.len(), 2, "two in a row open the circuit");
    let circuit = fleet.driver.registry.circuits_of(ids[0]).next();
    let circuit = circuit.expect("a circuit");
    assert_eq!(circuit.endpoint, "https://reg.io");
    assert!(matches!(circuit.state, CircuitState::Open { .. }));
    fleet.run(&ids, 60, wrong);
    assert_eq!(fleet.failed.len(), 3, "one probe");
    fleet.failures();
    fleet.run(&ids, 130, |request| match shown(request) {
        Some(_) => ok(r#"{"tags":["1"]}"#),
        None => with(401, &[BASIC], ""),
    });
    assert_eq!(
        fleet.circuit_changes(),
        ["open", "half_open", "open", "half_open", "closed"]
    );
    let told = fleet.failures();
    for id in ids {
        assert!(told.contains(&(id, None)), "{id:?}");
    }
}

#[test]
fn a_login_that_every_repository_refuses_is_stopped() {
    let mut fleet = Fleet::new(settings(10));
    let ids = fifty(&mut fleet);
    let n_refused = core::cell::RefCell::new(0_u32);
    fleet.run(&ids, 170, |request| {
        if request.url.contains("reg.io/v2") && shown(request).is_some() {
            *n_refused.borrow_mut() += 1;
            return with(403, &[], "");
        }
        healthy(request)
    });
    let n_refused = *n_refused.borrow();
    assert!((10..=30).contains(&n_refused), "{n_refused} refusals");
    fleet.run(&ids, 400, healthy);
    fleet.failures();
    fleet.run(&ids, 30, healthy);
    let after = fleet.failures();
    for id in ids {
        assert!(after.contains(&(id, None)), "{id:?}");
    }
}
