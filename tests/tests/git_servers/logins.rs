//! Over HTTPS: who we are, and through whom we come.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use image_updater_core::git::RefusalKind;
use image_updater_core::git::job::Relation;
use image_updater_core::repo::credential::{ClientCertificate, CredentialKind};
use image_updater_core::secret::Secret;
use image_updater_tests::git::Repository;
use image_updater_tests::git::jobs::{published, refused};
use image_updater_tests::servers::{Admission, Authority, ConnectProxy, GitHttp, ProxyKind};
use image_updater_tokio::http::Proxies;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use crate::stand::{FILES, PASSWORD, Stand, USER, assert_untouched, basic, credential};

const TOKEN: &str = "ghs_token-canary";

#[test]
fn a_login_that_is_not_accepted_is_told_as_such() {
    let Some(world) = World::new(Admission::User(USER, PASSWORD), "") else {
        return;
    };
    let tip = world.repository.tip("main");
    for credential in [
        basic(USER, "wrong-canary"),
        credential(CredentialKind::None),
        credential(CredentialKind::Bearer(Secret::new("wrong-canary"))),
        credential(CredentialKind::Ssh(Secret::new("wrong-canary"))),
    ] {
        let finished = world.stand.publish(&world.server.url, &credential);
        assert_eq!(refused(&finished), RefusalKind::Unauthenticated);
        assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
    }
    assert_untouched(&world.repository, &tip);
}

#[test]
fn a_login_may_stand_in_the_url() {
    let Some(world) = World::new(Admission::User(USER, PASSWORD), "") else {
        return;
    };
    let login = format!("https://{USER}:{PASSWORD}@");
    let url = world.server.url.replace("https://", &login);
    let finished = world.stand.publish(&url, &credential(CredentialKind::None));
    published(&finished, Relation::Same);
    world.repository.check();
}

#[test]
fn a_bearer_token_opens_a_repository() {
    let Some(world) = World::new(Admission::Bearer(TOKEN), "") else {
        return;
    };
    let kind = CredentialKind::Bearer(Secret::new(TOKEN));
    published(&world.publish(kind), Relation::Same);
    world.repository.check();
}

#[test]
fn a_client_certificate_opens_a_repository() {
    let clients = Authority::new();
    let Some(world) = World::new(Admission::Certificate(&clients), "") else {
        return;
    };
    let tip = world.repository.tip("main");
    refused(&world.publish(CredentialKind::None));
    assert_untouched(&world.repository, &tip);
    let issued = clients.issue();
    let mut credential = credential(CredentialKind::None);
    credential.client_certificate = Some(ClientCertificate {
        certificate: Secret::new(issued.certificate),
        key: Secret::new(issued.key),
    });
    let finished = world.stand.publish(&world.server.url, &credential);
    published(&finished, Relation::Same);
    world.repository.check();

    let other = Authority::new().issue();
    credential.client_certificate = credential.client_certificate.map(|pair| ClientCertificate {
        key: Secret::new(other.key),
        ..pair
    });
    let finished = world.stand.publish(&world.server.url, &credential);
    assert_eq!(refused(&finished), RefusalKind::Unauthenticated);
}

#[test]
fn a_github_app_asks_for_one_token_and_for_another_when_that_is_not_accepted() {
    const TOKEN_PATH: &str = "/app/installations/2/access_tokens";
    let answer = format!(r#"{{"token":"{TOKEN}","expires_at":"2099-01-01T00:00:00Z"}}"#);
    let more = format!("location = {TOKEN_PATH} {{ return 201 '{answer}'; }}");
    let admission = Admission::User("x-access-token", TOKEN);
    let Some(world) = World::new(admission, &more) else {
        return;
    };
    let (pem, pair) = rsa_key();
    let kind = CredentialKind::GithubApp {
        app_id: 1,
        installation_id: 2,
        private_key: Secret::new(pem),
        base_url: format!("{}/", world.server.origin()).into(),
    };
    let asked = || {
        let requests = world.server.requests();
        let asked = requests
            .into_iter()
            .filter(|line| line.contains(TOKEN_PATH));
        asked.collect::<Vec<_>>()
    };
    published(&world.publish(kind.clone()), Relation::Same);
    world.publish(kind.clone());
    assert_eq!(asked().len(), 1, "the token is kept");
    assert_assertion(&asked()[0], &pair);

    let strict = Admission::User("x-access-token", "revoked");
    let elsewhere = GitHttp::start(&world.repository, &world.authority, strict, "");
    let url = elsewhere.as_ref().map(|server| server.url.as_str());
    let finished = world
        .stand
        .publish(url.expect("it started before"), &credential(kind.clone()));
    assert_eq!(refused(&finished), RefusalKind::Unauthenticated);
    world.publish(kind);
    assert_eq!(asked().len(), 2, "what was not accepted is not used again");
    world.repository.check();
}

#[test]
fn an_account_of_google_cloud_asks_for_a_token() {
    let more = format!("location = /token {{ return 200 '{{\"access_token\":\"{TOKEN}\"}}'; }}");
    let admission = Admission::User("me@example.com", TOKEN);
    let Some(world) = World::new(admission, &more) else {
        return;
    };
    let (pem, _) = rsa_key();
    let key = |uri: &str| {
        let key = serde_json::json!({
            "client_email": "me@example.com", "private_key": pem, "token_uri": uri,
        });
        CredentialKind::GoogleCloud(Secret::new(key.to_string()))
    };
    let uri = format!("{}/token", world.server.origin());
    published(&world.publish(key(&uri)), Relation::Same);
    for key in [
        key("http://127.0.0.1/token"),
        CredentialKind::GoogleCloud(Secret::new("{}")),
    ] {
        assert_eq!(refused(&world.publish(key)), RefusalKind::Unauthenticated);
    }
    world.repository.check();
}

#[test]
fn an_app_that_gets_no_token_is_told_as_such() {
    let (pem, _) = rsa_key();
    for (status, key, kind) in [
        (404, &*pem, RefusalKind::Unauthenticated),
        (429, &*pem, RefusalKind::Throttled),
        (503, &*pem, RefusalKind::ServerFailed),
        (201, &*pem, RefusalKind::Transport),
        (201, "no key, a canary", RefusalKind::Unauthenticated),
    ] {
        let more = format!("location /app/ {{ return {status} '{{}}'; }}");
        let Some(world) = World::new(Admission::User(USER, PASSWORD), &more) else {
            return;
        };
        let finished = world.publish(CredentialKind::GithubApp {
            app_id: 1,
            installation_id: 2,
            private_key: Secret::new(key),
            base_url: world.server.origin().into(),
        });
        assert_eq!(refused(&finished), kind, "{status}");
        let told = format!("{finished:?}");
        assert!(told.contains("GitHub App 1, installation 2"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

#[test]
fn a_repository_is_reached_through_its_own_proxy_or_that_of_the_process() {
    let Some(world) = World::new(Admission::User(USER, PASSWORD), "") else {
        return;
    };
    let proxy = ConnectProxy::start(ProxyKind::Http);
    let url = world.server.url.replace("127.0.0.1", "git.test");
    let address = format!("http://carl:pass-canary@{}", proxy.address);
    let mut own = basic(USER, PASSWORD);
    own.proxy = Secret::new(address.clone());
    published(&world.stand.publish(&url, &own), Relation::Same);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "one connection for all rounds: {heads:?}");
    assert!(heads[0].starts_with("CONNECT git.test:"), "{heads:?}");
    let login = STANDARD.encode("carl:pass-canary");
    assert!(heads[0].contains(&login), "{heads:?}");

    own.no_proxy = "git.test".into();
    let finished = world.stand.publish(&url, &own);
    assert_eq!(refused(&finished), RefusalKind::Transport);
    own.proxy = Secret::new("http://u:pass-canary@ no proxy");
    let finished = world.stand.publish(&url, &own);
    assert_eq!(refused(&finished), RefusalKind::Unauthenticated);
    assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
    assert_eq!(proxy.heads().len(), 1);

    let (proxies, _) = Proxies::of(|name| (name == "HTTPS_PROXY").then(|| address.clone()));
    let limit = std::time::Duration::from_secs(90);
    let stand = Stand::with(Some(&world.authority), proxies, limit);
    stand.publish(&url, &basic(USER, PASSWORD));
    assert_eq!(proxy.heads().len(), 2);
    world.repository.check();
}

/// The line shows an assertion of app 1 that the key has signed.
#[track_caller]
fn assert_assertion(line: &str, pair: &RsaKeyPair) {
    let assertion = line.rsplit(' ').next().expect("a line");
    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public())
        .verify(signed.as_bytes(), &signature)
        .expect("the key's signature");
    let (_, claims) = signed.split_once('.').expect("three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["iss"], "1");
    let seconds = |name: &str| claims[name].as_i64().expect("a number");
    assert_eq!(seconds("exp") - seconds("iat"), 600);
}

/// A new key, as PEM and to check with.
fn rsa_key() -> (String, RsaKeyPair) {
    let output = std::process::Command::new("openssl")
        .args(["genrsa", "2048"])
        .output()
        .expect("openssl runs");
    let pem = String::from_utf8(output.stdout).expect("PEM is text");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    let pair = RsaKeyPair::from_pkcs8(&der).expect("an RSA key");
    (pem, pair)
}

struct World {
    authority: Authority,
    repository: Repository,
    server: GitHttp,
    stand: Stand,
}

impl World {
    fn new(admission: Admission<'_>, more: &str) -> Option<Self> {
        let authority = Authority::new();
        let repository = Repository::with_files(FILES);
        Some(Self {
            server: GitHttp::start(&repository, &authority, admission, more)?,
            stand: Stand::new(Some(&authority)),
            authority,
            repository,
        })
    }

    fn publish(&self, kind: CredentialKind) -> image_updater_core::git::Finished {
        self.stand.publish(&self.server.url, &credential(kind))
    }
}
