//! The core in the strict world: everything that it says, is told, or prints for debugging.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use image_updater_core::Seed;
use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::{CredentialReference, CredentialSource, RegistryPrefix};
use image_updater_core::effect::Effect;
use image_updater_core::http::HttpOutcome;
use image_updater_core::id::AppKey;
use image_updater_core::image::{IgnorePatterns, MatchExpression, PlatformSet, Strategy};
use image_updater_core::input::Input;
use image_updater_core::metrics::exposition::write_samples;
use image_updater_core::probe::{Probe, Question};
use image_updater_core::registry::RegistrySettings;
use image_updater_core::secret::Secret;
use image_updater_fixtures::registry::{Auth, ImageSpec};
use image_updater_fixtures::{AppSpec, Request};
use image_updater_tests::echo::{echo, is_showing};
use image_updater_tests::world::{INTERVAL, NAMESPACE, RegistryFault, World};

use super::Proof::{Said, Shown};
use super::{Canary, expect_no, expect_read};

const SOURCES: &[Canary] = &[
    Canary {
        source: "env",
        text: "canary+env-1",
        proof: Shown,
    },
    Canary {
        source: "secret",
        text: "canary+secret-2",
        proof: Shown,
    },
    Canary {
        source: "ext",
        text: "canary+ext-3",
        proof: Shown,
    },
    Canary {
        source: "pullsecret",
        text: "canary+pullsecret-4",
        proof: Shown,
    },
    Canary {
        source: "identity token",
        text: "canary+identity-5",
        proof: Shown,
    },
    Canary {
        source: "token",
        text: "canary-token-",
        proof: Shown,
    },
    Canary {
        source: "bad env",
        text: "canary+badenv-6",
        proof: Said("value of BAD is malformed"),
    },
    Canary {
        source: "bad docker config",
        text: "canary+baddocker-7",
        proof: Said("no json object"),
    },
];

/// Host, source, content.
const LOGINS: [(&str, &str, &str); 8] = [
    ("env.test", "env:GOOD", "robot:canary+env-1"),
    ("secret.test", "secret:ns/a#b", "robot:canary+secret-2"),
    ("ext.test", "ext:/bin/login", "robot:canary+ext-3"),
    (
        "pull.test",
        "pullsecret:ns/a",
        r#"{"auths":{"pull.test":{"username":"robot","password":"canary+pullsecret-4"}}}"#,
    ),
    (
        "identity.test",
        "pullsecret:ns/i",
        r#"{"auths":{"identity.test":{"identitytoken":"canary+identity-5"}}}"#,
    ),
    ("token.test", "env:TOKEN", "robot:canary+env-1"),
    ("bad.test", "env:BAD", "canary+badenv-6"),
    ("docker.test", "pullsecret:ns/c", "canary+baddocker-7"),
];

#[test]
fn nothing_that_the_core_says_or_prints_shows_a_secret() {
    // Servers that take the logins, that refuse them, and that have no words for either.
    for fault in [None, Some(401), Some(403), Some(429), Some(500)] {
        let mut settings = World::settings();
        settings.metrics.has_scope = true;
        let mut world = World::new(settings);
        world.trace = Some(Vec::new());
        for (at, (host, source, content)) in LOGINS.into_iter().enumerate() {
            world
                .credentials
                .insert(source.to_owned(), content.to_owned());
            let registry = world.registry(host);
            registry.auth = match host {
                "token.test" | "identity.test" => Auth::bearer(60),
                _ => Auth::Basic(BTreeMap::default()),
            };
            if host == "token.test" || fault.is_none() {
                registry.serve_tokens_at("auth.test");
            }
            let password = content.split_once(':').map_or("", |(_, password)| password);
            registry.auth = registry.auth.clone().with_user("robot", password);
            registry.issue_refresh_token("robot", "canary+identity-5");
            for tag in ["1.0.0", "1.1.0"] {
                registry.push("org/app", tag, &ImageSpec::default());
            }
            if let Some(status) = fault {
                let fault = RegistryFault::Echo(status);
                world.registry_faults.insert(host.to_owned(), fault);
            }
            let app = AppSpec::helm(NAMESPACE, &format!("app-{at}"));
            let app = app.image(&format!("{host}/org/app"), "1.0.0");
            let strategy = ["semver", "newest-build"][at % 2];
            world.apply(&app.annotation("app.pull-secret", source).strategy(strategy));
        }
        world.sync();
        for _ in 0..40 {
            world.run_for(INTERVAL / 10);
            let state = format!("{:?}", world.core);
            expect_no(SOURCES, "the core's debug print", &state);
        }
        let mut said = world.trace.take().unwrap_or_default().join("\n");
        for at in 0..LOGINS.len() {
            let key = AppKey::new(NAMESPACE, format!("app-{at}"));
            let explanation = world.core.explain(&key);
            assert!(explanation.is_some());
            let _ = write!(said, "\n{explanation:?}");
        }
        write_samples(&mut said, world.core.metrics().samples())
            .expect("a String takes everything");
        let _ = write!(
            said,
            "\n{:?} {:?}",
            world.core.stats(),
            world.core.footprint()
        );
        expect_no(SOURCES, &format!("a run with {fault:?}"), &said);
        let secrets: Vec<&str> = world.secrets_shown.iter().map(String::as_str).collect();
        if fault.is_some() {
            expect_read(SOURCES, &secrets.join("\n"), &said);
        }
    }
}

#[test]
fn nothing_of_a_probe_shows_a_secret() {
    for (host, source, content) in LOGINS {
        let mut world = World::plain();
        let registry = world.registry(host);
        registry.auth = Auth::bearer(60).with_user("robot", "another");
        registry.push("org/app", "1.0.0", &ImageSpec::default());
        let credentials = CredentialReference::parse(source, RegistryPrefix::Optional);
        let question = Question {
            image: format!("{host}/org/app:1.0.0"),
            constraint: String::new(),
            strategy: Strategy::Semver,
            allow_tags: MatchExpression::parse(""),
            ignore_tags: IgnorePatterns::default(),
            platforms: PlatformSet::parse("linux/amd64"),
            credentials: credentials.ok(),
        };
        let settings = RegistrySettings::default();
        let mut now = world.clock();
        let mut probe = Probe::new(question, settings, Seed(1), now).expect("an image");
        let mut said = String::new();
        for _ in 0..1000 {
            while let Some(effect) = probe.poll_effect() {
                let _ = writeln!(said, "{effect:?}");
                let input = match effect {
                    Effect::Http(op, request) => {
                        let asked = Request::from_core(&request).expect("a whole URL");
                        let response = if is_showing(&asked) {
                            echo(403, &asked)
                        } else {
                            world.registry(host).handle(now.mono, now.wall, &asked)
                        };
                        Input::Http(op, HttpOutcome::Response(response.into_core(false)))
                    }
                    Effect::ReadCredential(op, read) => {
                        assert_eq!(CredentialSource::parse(source), Ok(read));
                        let found = CredentialOutcome::Found(Secret::new(content));
                        Input::Credential(op, found)
                    }
                    Effect::Cluster(..) | Effect::Git(..) | Effect::Cancel(_) => continue,
                };
                let _ = writeln!(said, "{input:?} {probe:?}");
                probe.handle_input(now, input);
            }
            while let Some(event) = probe.poll_event() {
                let _ = writeln!(said, "{event:?}");
            }
            if probe.reason().is_some() {
                break;
            }
            now.mono = now.mono.after(Duration::from_secs(1));
            probe.handle_timeout(now);
        }
        let reason = probe.reason().expect("it comes to an end");
        let _ = writeln!(said, "{probe:?} {reason:?} {reason}");
        assert!(said.contains("ReadCredential"), "{said}");
        expect_no(SOURCES, host, &said);
    }
}
