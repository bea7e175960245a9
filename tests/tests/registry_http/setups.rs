//! The real registry in the set-ups that companies have: tokens, a private authority, a proxy with
//! HTTP/2, thousands of tags.

use std::time::Duration;

use image_updater_fixtures::AppSpec;
use image_updater_tests::program::Program;
use image_updater_tests::servers::{Authority, DockerRegistry, Proxy, Setup, TokenService};

use crate::stand::{Stand, conf, image, requests};

const CREATED: &str = "2026-01-02T03:04:05Z";

#[test]
fn token_of_a_service_opens_a_registry_and_is_fetched_once() {
    let service = TokenService::start("robot", "s3cret:word");
    let Some((registry, stand)) = stand_with(Setup::Tokens(&service)) else {
        return;
    };
    let program = start_as(&stand, &registry, "robot:s3cret:word");
    stand.expect_tag(&program, "1.1.0");
    program.expect_checks("web", 3);
    let log = program.finish();
    let (n_tokens, n_refused) = service.with_desk(|desk| (desk.n_tokens, desk.n_refused));
    assert_eq!((n_tokens, n_refused), (1, 0), "{log}");
    assert!(requests(&registry, "GET /v2/web/tags/list") > 3);
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn token_that_ends_before_it_was_said_to_is_fetched_anew_without_an_error() {
    let service = TokenService::start("robot", "s3cret");
    service.with_desk(|desk| desk.lifetime = Duration::from_secs(2));
    let Some((registry, stand)) = stand_with(Setup::Tokens(&service)) else {
        return;
    };
    let program = start_as(&stand, &registry, "robot:s3cret");
    stand.expect_tag(&program, "1.1.0");
    program.eventually("a second and a third token", || {
        (service.with_desk(|desk| desk.n_tokens) >= 3).then_some(())
    });
    registry.copy_tag("web", "1.0.0", "1.2.0");
    stand.expect_tag(&program, "1.2.0");
    let log = program.finish();
    assert!(!log.contains("level=error"), "{log}");
}

#[test]
fn wrong_password_is_shown_to_the_token_service_a_few_times_only() {
    let service = TokenService::start("robot", "s3cret");
    let Some((registry, stand)) = stand_with(Setup::Tokens(&service)) else {
        return;
    };
    let program = start_as(&stand, &registry, "robot:wrong");
    program.expect_line(&[
        "level=error",
        "application=web",
        registry.host(),
        "check the credentials for this registry",
    ]);
    program.expect_checks("web", 10);
    let log = program.finish();
    let n_refused = service.with_desk(|desk| desk.n_refused);
    assert!(
        (1..=5).contains(&n_refused),
        "{n_refused} failed logins in ten checks: {log}"
    );
    assert!(!log.contains("robot:wrong"), "{log}");
}

#[test]
fn certificate_of_a_private_authority_is_trusted_where_it_is_configured() {
    let authority = Authority::new();
    let Some((registry, stand)) = stand_with(Setup::Tls(&authority)) else {
        return;
    };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), authority.pem()).expect("a temporary file can be written to");
    let by_file = format!("  ca_file: {}\n", file.path().display());
    let indented = authority.pem().replace('\n', "\n    ");
    let by_text = format!("  ca_data: |\n    {}\n", indented.trim_end());
    for more in [by_file.as_str(), &by_text, "  insecure: true\n"] {
        stand.apply(&web(&registry));
        let program = stand.start(&conf(&registry.url, more), &[]);
        stand.expect_tag(&program, "1.1.0");
        let log = program.finish();
        assert!(!log.contains("level=error"), "{more}: {log}");
    }
    let stranger = Authority::new();
    std::fs::write(file.path(), stranger.pem()).expect("a temporary file can be written to");
    for more in ["", &by_file] {
        let program = stand.start(&conf(&registry.url, more), &[]);
        program.expect_line(&[
            "level=error",
            "application=web",
            registry.host(),
            "check the registry's address, port and certificate",
        ]);
        program.finish();
    }
}

#[test]
fn proxy_with_http_2_is_spoken_to_over_one_connection() {
    let authority = Authority::new();
    let Some((registry, stand)) = stand_with(Setup::Open) else {
        return;
    };
    let Some(proxy) = Proxy::start(&registry.url, &authority) else {
        return;
    };
    for n in 0..8 {
        registry.push_image(&format!("other-{n}"), "1.0.0", CREATED, "linux/amd64");
        let name = format!("other-{n}");
        let image = format!("{}/{name}", proxy.host());
        stand.apply(&AppSpec::helm("argocd", &name).image(&image, "1.0.0"));
    }
    stand.apply(&AppSpec::helm("argocd", "web").image(&format!("{}/web", proxy.host()), "1.0.0"));
    let indented = authority.pem().replace('\n', "\n    ");
    let more = format!("  ca_data: |\n    {}\n", indented.trim_end());
    let program = stand.start(&conf(&proxy.url, &more), &[]);
    stand.expect_tag(&program, "1.1.0");
    for n in 0..8 {
        program.expect_checks(&format!("other-{n}"), 1);
    }
    program.finish();
    let requests = proxy.requests();
    assert!(requests.len() >= 9, "{requests:?}");
    let mut connections = std::collections::BTreeSet::new();
    for request in &requests {
        let mut words = request.split(' ');
        assert_eq!(words.next(), Some("HTTP/2.0"), "{request}");
        connections.insert(words.next());
    }
    assert!(connections.len() <= 2, "{requests:?}");
}

#[test]
fn repository_of_five_thousand_tags_is_read_whole() {
    let Some((registry, stand)) = stand_with(Setup::Open) else {
        return;
    };
    let tags: Vec<String> = (2..5_000).map(|minor| format!("1.{minor}.0")).collect();
    registry.plant_tags("web", "1.0.0", &tags);
    assert_eq!(registry.tags("web").len(), 5_000);
    stand.apply(&web(&registry));
    let program = stand.start(&conf(&registry.url, ""), &["--interval=10m"]);
    stand.expect_tag(&program, "1.4999.0");
    program.finish();
    assert_eq!(requests(&registry, "GET /v2/web/tags/list"), 1);
    assert_eq!(requests(&registry, "GET /v2/web/manifests"), 0);
}

/// A registry with `web` at 1.0.0 and 1.1.0, and a cluster; `None` where it is not installed.
fn stand_with(setup: Setup<'_>) -> Option<(DockerRegistry, Stand)> {
    let registry = DockerRegistry::start(setup)?;
    for tag in ["1.0.0", "1.1.0"] {
        registry.push_image("web", tag, CREATED, "linux/amd64");
    }
    Some((registry, Stand::new(0)))
}

fn web(registry: &DockerRegistry) -> AppSpec {
    AppSpec::helm("argocd", "web").image(&image(registry, "web"), "1.0.0")
}

/// Starts the program on `web` with this login for the registry.
fn start_as(stand: &Stand, registry: &DockerRegistry, login: &str) -> Program {
    stand.wire.with_world(|world| {
        world.cluster.put_secret("argocd", "login", "creds", login);
    });
    stand.apply(&web(registry));
    let conf = conf(&registry.url, "  credentials: secret:argocd/login#creds\n");
    stand.start(&conf, &["--loglevel=trace"])
}
