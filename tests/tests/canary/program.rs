//! The program itself, at the loudest level, in both formats, towards servers that repeat everything.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_updater_fixtures::registry::{Flavour, ImageSpec, Registry};
use image_updater_fixtures::{AppSpec, Request, Response};
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::echo::{EchoServer, decoded, echo, is_showing};
use image_updater_tests::program::{Program, ask};
use serde_json::json;

use super::Proof::{Said, Shown};
use super::{Canary, expect_no, expect_read};

const fn canary(source: &'static str, text: &'static str, proof: super::Proof) -> Canary {
    Canary {
        source,
        text,
        proof,
    }
}

/// Every source of `run`; those of registries have the name of their registry.
const SOURCES: &[Canary] = &[
    canary("env", "canary+env-1", Shown),
    canary("secret", "canary+secret-2", Shown),
    canary("pullauth", "canary+pullauth-3", Shown),
    canary("pullpair", "canary+pullpair-4", Shown),
    canary("identity", "canary+identity-5", Shown),
    canary("ext", "canary+ext-6", Shown),
    canary("image", "canary+image-7", Shown),
    canary("token", "canary+token-8", Shown),
    canary("access", "canary+access-9", Shown),
    canary("refresh", "canary+refresh-10", Shown),
    canary("signed", "canary-signed-11", Shown),
    canary("signed, another server", "canary-signed-away-12", Shown),
    canary("HTTP_PROXY", "canary-http-proxy-13", Shown),
    canary("HTTPS_PROXY", "canary-https-proxy-14", Shown),
    canary(
        "badenv",
        "canary+badenv-15",
        Said("value of BADENV is malformed"),
    ),
    canary(
        "badsecret",
        "canary+badsecret-16",
        Said("invalid credentials in secret argocd/badsecret"),
    ),
    canary(
        "baddocker",
        "canary+baddocker-17",
        Said("the image pull secret is no json object"),
    ),
    canary(
        "badauth",
        "canary+badauth!-18",
        Said("could not base64-decode auth data"),
    ),
    canary(
        "badext, standard output",
        "canary+badext-out-19",
        Said("failed (exit status: 3)"),
    ),
    canary(
        "badext, standard error",
        "canary+badext-err-20",
        Said("failed (exit status: 3)"),
    ),
    canary(
        "an annotation that names no source",
        "canary+badannotation-21",
        Said("unknown credential source"),
    ),
    canary(
        "--docker-webhook-secret",
        "canary-docker-hook-22",
        Said("--docker-webhook-secret"),
    ),
    canary(
        "--ghcr-webhook-secret",
        "canary-ghcr-hook-23",
        Said("--ghcr-webhook-secret"),
    ),
    canary(
        "QUAY_WEBHOOK_SECRET",
        "canary-quay-hook-24",
        Said("--quay-webhook-secret"),
    ),
    canary(
        "--harbor-webhook-secret",
        "canary-harbor-hook-25",
        Said("--harbor-webhook-secret"),
    ),
    canary(
        "--argocd-auth-token",
        "canary-argocd-26",
        Said("auth_token"),
    ),
    canary("a fake registry's password", "canary-robot-27", Shown),
    canary("a fake registry's tokens", "canary-token-", Shown),
];

const REGISTRIES: [&str; 17] = [
    "env",
    "secret",
    "pullauth",
    "pullpair",
    "identity",
    "ext",
    "image",
    "token",
    "access",
    "refresh",
    "signed",
    "away",
    "badenv",
    "badsecret",
    "baddocker",
    "badauth",
    "badext",
];

#[test]
fn nothing_of_a_run_shows_a_secret() {
    for format in ["text", "json"] {
        let stage = Stage::new();
        let flags = [
            "--mode=continuous",
            "--interval=2s",
            "--warmup-cache=false",
            "--loglevel=trace",
            "--docker-webhook-secret=canary-docker-hook-22",
            "--ghcr-webhook-secret",
            "canary-ghcr-hook-23",
            "--harbor-webhook-secret=canary-harbor-hook-25",
            "--argocd-auth-token=canary-argocd-26",
        ];
        let format = format!("--logformat={format}");
        let program = Program::start_with(
            stage.kubeconfig.path(),
            &stage.conf(),
            &[&flags[..], &[&format]].concat(),
            &stage.variables(),
        );
        for canary in SOURCES {
            program.eventually(canary.source, || {
                let is_read = match canary.proof {
                    Shown => stage.shown().contains(canary.text),
                    Said(part) => program.log().contains(part),
                };
                is_read.then_some(())
            });
        }
        let at_once = program.log().matches("check finished").count();
        program.expect_lines(at_once + 10, &["check finished"]);
        let log = program.finish();
        expect_read(SOURCES, &stage.shown(), &log);
        expect_no(SOURCES, "the log", &log);
        assert!(!log.contains("sig="), "{log}");
    }
}

#[test]
fn nothing_of_the_command_test_shows_a_secret() {
    let stage = Stage::new();
    let kubeconfig = format!("--kubeconfig={}", stage.kubeconfig.path().display());
    let mut said = String::new();
    for name in REGISTRIES.iter().copied().chain(["plain", "secure"]) {
        for format in ["--logformat=text", "--logformat=json"] {
            let image = format!("{name}.test/app:1.0.0");
            let mut flags = vec![&*image, &*kubeconfig, format, "--loglevel=trace"];
            flags.extend(["--output=json", "--explain", "--platforms=linux/amd64"]);
            if name == "image" {
                flags.push("--credentials=secret:argocd/image#creds");
            }
            let answered = ask("test", &stage.conf(), &flags, &stage.variables());
            let is_listed = name == "refresh" && format.ends_with("text");
            assert_eq!(answered.status, Some(i32::from(!is_listed)), "{answered:?}");
            let _ = writeln!(said, "{}\n{}", answered.out, answered.err);
        }
    }
    expect_no(SOURCES, "the command", &said);
    let shown = stage.shown();
    for canary in SOURCES
        .iter()
        .take(20)
        .filter(|canary| canary.source != "refresh")
    {
        let canary = std::slice::from_ref(canary);
        expect_read(canary, &shown, &said);
    }
}

#[test]
fn nothing_of_a_mistake_in_a_setting_shows_a_secret() {
    const SECRET: &[Canary] = &[canary("a mistake", "canary+mistake-1", Shown)];
    let entry = "registries:\n- name: A\n  api_url: https://a.io\n  prefix: a.io\n  ";
    for line in [
        "credentials: user:canary+mistake-1",
        "credentials: secret:canary+mistake-1",
        "credentials: [user:canary+mistake-1]",
        "credentials:user:canary+mistake-1",
        "credentials=user: canary+mistake-1",
        "credentials=user:canary+mistake-1: x",
        "credentials: \"user:canary+mistake-1",
        "credentials: user: canary+mistake-1",
        "credentials: *canary+mistake-1",
        "password: canary+mistake-1",
        "ca_data: canary+mistake-1",
    ] {
        let conf = format!("{entry}{line}\n");
        let flags = ["--health-port=0", "--metrics-port=0", "--loglevel=trace"];
        let answered = ask("run", &conf, &flags, &[]);
        assert_eq!(answered.status, Some(1), "{line}: {answered:?}");
        assert!(
            answered.err.contains("registries.conf: "),
            "{line}: {answered:?}"
        );
        expect_no(SECRET, line, &format!("{}{}", answered.out, answered.err));
    }
    let url =
        "registries:\n- name: A\n  prefix: a.io\n  api_url: https://user:canary+mistake-1@a.io\n";
    for (command, conf, words) in [
        ("run", url, &["--health-port=0"][..]),
        ("run", "", &["-argocd-auth-token=canary+mistake-1"]),
        ("run", "", &["--argocd-token=canary+mistake-1"]),
        ("run", "", &["---argocd-auth-token=canary+mistake-1"]),
        ("run", "", &["argocd-auth-token=canary+mistake-1"]),
        (
            "run",
            "",
            &["--argocd-auth-token=canary+mistake-1", "--interval=x"],
        ),
        (
            "run",
            "",
            &["--argocd-auth-token=canary+mistake-1", "--help"],
        ),
        (
            "test",
            "",
            &["a.io/b:1", "--credentials=user:canary+mistake-1"],
        ),
        ("test", "", &["a.io/b:1", "--credentials=canary+mistake-1"]),
    ] {
        let answered = ask(
            command,
            conf,
            words,
            &[("ARGOCD_TOKEN", "canary+mistake-1")],
        );
        expect_no(
            SECRET,
            command,
            &format!("{words:?}").replace("canary+mistake-1", ""),
        );
        expect_no(
            SECRET,
            &words.join(" "),
            &format!("{}{}", answered.out, answered.err),
        );
        let is_help = words.contains(&"--help");
        assert_eq!(answered.status, Some(i32::from(!is_help)), "{answered:?}");
    }
}

/// A cluster with Secrets, registries that repeat everything, a proxy that does, and a fake registry.
struct Stage {
    wire: Wire,
    kubeconfig: tempfile::NamedTempFile,
    registry: EchoServer,
    /// A registry of its own, for the one that accepts its token once.
    refreshing: EchoServer,
    away: EchoServer,
    proxy: EchoServer,
    secure_proxy: EchoServer,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let wire = Wire::start(WireWorld::new(3)).expect("loopback has ports");
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
        kubeconfig
            .write_all(wire.kubeconfig().as_bytes())
            .expect("a temporary file can be written to");
        let away = EchoServer::start(|request| echo(403, request));
        let away_host = away.host.clone();
        let has_listed = AtomicBool::new(false);
        let stage = Self {
            wire,
            kubeconfig,
            refreshing: EchoServer::start(move |request| {
                let is_list = request.path().ends_with("/list") && is_showing(request);
                if is_list && !has_listed.swap(true, Ordering::Relaxed) {
                    return Response::json(200, &json!({ "name": "app", "tags": ["1.0.0"] }));
                }
                if is_list {
                    let host = request.header("host").unwrap_or_default();
                    let challenge = format!(
                        "Bearer realm=\"http://{host}/refresh/token\",service=\"reg\",\
                         error=\"invalid_token\",error_description=\"{}\"",
                        decoded(request)
                    );
                    let mut response = echo(401, request);
                    response.headers = vec![("www-authenticate".to_owned(), challenge)];
                    return response;
                }
                answer(request, "")
            }),
            registry: EchoServer::start(move |request| answer(request, &away_host)),
            away,
            proxy: EchoServer::start(|request| echo(403, request)),
            secure_proxy: EchoServer::start(|request| echo(407, request)),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        stage.script("ext", "echo robot:canary+ext-6; echo canary+ext-6 >&2");
        stage.script(
            "badext",
            "echo robot:canary+badext-out-19; echo canary+badext-err-20 >&2; exit 3",
        );
        stage.fill();
        stage
    }

    /// Everything that servers were shown.
    fn shown(&self) -> String {
        let servers = [
            &self.registry,
            &self.refreshing,
            &self.away,
            &self.proxy,
            &self.secure_proxy,
        ];
        let mut shown: Vec<String> = servers.iter().flat_map(|one| one.requests()).collect();
        // What the fake registry was shown it has counted.
        let served = self.wire.with_world(|world| world.registries[0].served);
        if served.tokens > 0 {
            shown.push("canary-robot-27".to_owned());
        }
        if served.listings > 0 && served.blobs_elsewhere > 0 {
            shown.push("canary-token-".to_owned());
        }
        shown.join("\n")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a folder of ours");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
            .expect("a file of ours");
    }

    fn variables(&self) -> [(&'static str, &str); 5] {
        // They live as long as the process, which is a test's.
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        [
            ("ENV", "robot:canary+env-1"),
            ("BADENV", "canary+badenv-15"),
            ("QUAY_WEBHOOK_SECRET", "canary-quay-hook-24"),
            (
                "HTTP_PROXY",
                leak(format!(
                    "http://robot:canary-http-proxy-13@{}",
                    self.proxy.host
                )),
            ),
            (
                "HTTPS_PROXY",
                leak(format!(
                    "http://robot:canary-https-proxy-14@{}",
                    self.secure_proxy.host
                )),
            ),
        ]
    }

    fn conf(&self) -> String {
        let mut conf = "registries:\n".to_owned();
        for name in REGISTRIES {
            let server = match name {
                "refresh" => &self.refreshing,
                _ => &self.registry,
            };
            let url = format!("http://{}/{name}", server.host);
            let credentials = match name {
                "env" | "badenv" => format!("env:{}", name.to_uppercase()),
                "secret" | "badsecret" => format!("secret:argocd/{name}#creds"),
                "pullauth" | "pullpair" | "identity" | "baddocker" | "badauth" => {
                    format!("pullsecret:argocd/{name}")
                }
                "ext" | "badext" => format!("ext:{}", self.path(name).display()),
                "token" | "access" | "refresh" => "secret:argocd/secret#creds".to_owned(),
                _ => "~".to_owned(),
            };
            let _ = writeln!(
                conf,
                "- name: {name}\n  api_url: {url}\n  prefix: {name}.test\n  limit: 0\n  \
                 credentials: {credentials}"
            );
        }
        for (name, scheme) in [("plain", "http"), ("secure", "https")] {
            let _ = writeln!(
                conf,
                "- name: {name}\n  api_url: {scheme}://{name}.test\n  prefix: {name}.test\n  limit: 0"
            );
        }
        let (url, host) = (self.wire.registry_url(0), self.wire.registry_host(0));
        let _ = writeln!(
            conf,
            "- name: fake\n  api_url: {url}\n  prefix: {host}\n  limit: 0\n  \
             credentials: secret:argocd/fake#creds"
        );
        conf
    }

    fn fill(&self) {
        let host = &self.registry.host;
        let docker = |name: &str, entry: serde_json::Value| {
            let key = format!("{host}/{name}");
            json!({ "auths": { key: entry } }).to_string()
        };
        let hosts = [0, 1, 2].map(|port| self.wire.registry_host(port));
        self.wire.with_world(|world| {
            for (name, content) in [
                ("secret", "robot:canary+secret-2"),
                ("image", "robot:canary+image-7"),
                ("badsecret", "canary+badsecret-16"),
                ("fake", "robot:canary-robot-27"),
            ] {
                world.cluster.put_secret("argocd", name, "creds", content);
            }
            let auth = STANDARD.encode("robot:canary+pullauth-3");
            for (name, content) in [
                ("pullauth", docker("pullauth", json!({ "auth": auth }))),
                (
                    "pullpair",
                    docker(
                        "pullpair",
                        json!({ "username": "robot", "password": "canary+pullpair-4" }),
                    ),
                ),
                (
                    "identity",
                    docker("identity", json!({ "identitytoken": "canary+identity-5" })),
                ),
                ("baddocker", "canary+baddocker-17".to_owned()),
                (
                    "badauth",
                    docker("badauth", json!({ "auth": "canary+badauth!-18" })),
                ),
            ] {
                let field = ".dockerconfigjson";
                world.cluster.put_secret("argocd", name, field, content);
            }
            for name in REGISTRIES.iter().copied().chain(["plain", "secure"]) {
                let app = AppSpec::helm("argocd", name).image(&format!("{name}.test/app"), "1.0.0");
                let app = match name {
                    "image" => app.annotation("app.pull-secret", "secret:argocd/image#creds"),
                    _ => app,
                };
                world.cluster.apply(&app.to_json());
            }
            let bad = AppSpec::helm("argocd", "badannotation").image("env.test/app", "1.0.0");
            let bad = bad.annotation("app.pull-secret", "robot:canary+badannotation-21");
            world.cluster.apply(&bad.to_json());

            let mut registry = Registry::of(Flavour::GitLab, hosts[0].clone());
            registry.serve_tokens_at(hosts[1].clone());
            registry.serve_blobs_at(hosts[2].clone());
            registry.restrict("org/app", &["robot"]);
            let never = image_updater_core::time::Time::from_secs(u64::from(u32::MAX));
            registry.issue_password("robot", "canary-robot-27", never);
            for (day, tag) in [(1, "build-a"), (2, "build-b")] {
                let created = format!("2025-12-{day:02}T00:00:00Z");
                registry.push("org/app", tag, &ImageSpec::created(created));
            }
            world.registries[0] = registry;
            let fake = AppSpec::helm("argocd", "fake");
            let fake = fake.image(&format!("{}/org/app", hosts[0]), "build-a");
            world
                .cluster
                .apply(&fake.strategy("newest-build").to_json());
        });
    }
}

/// The registries that repeat everything, by the first part of their path.
fn answer(request: &Request, away: &str) -> Response {
    let name = request.path().split('/').nth(1).unwrap_or_default();
    let host = request.header("host").unwrap_or_default();
    let is_token = request.path().ends_with("/token");
    let bearer = || {
        let challenge = format!("Bearer realm=\"http://{host}/{name}/token\",service=\"reg\"");
        Response::json(401, &json!({})).with_header("www-authenticate", challenge)
    };
    match name {
        "token" | "access" | "refresh" if is_token && request.method == "GET" => {
            let document = match name {
                "token" => json!({ "token": "canary+token-8" }),
                "access" => json!({ "access_token": "canary+access-9" }),
                _ => json!({ "token": "canary+none", "refresh_token": "canary+refresh-10" }),
            };
            Response::json(200, &document)
        }
        _ if is_showing(request) => echo(if name == "env" { 401 } else { 403 }, request),
        "token" | "access" | "refresh" | "identity" => bearer(),
        "signed" | "away" => {
            let place = match name {
                "signed" => format!("http://{host}/signed/blob?sig=canary-signed-11"),
                _ => format!("http://{away}/blob?sig=canary-signed-away-12"),
            };
            Response::json(307, &json!({})).with_header("location", place)
        }
        _ => Response::json(401, &json!({})).with_header("www-authenticate", "Basic realm=\"r\""),
    }
}
