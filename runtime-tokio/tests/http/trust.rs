//! Whose certificates are trusted.

use std::path::Path;
use std::sync::Arc;

use image_updater_core::http::{HttpOutcome, HttpRequest, PoolKey, TransportKind, TrustAnchors};
use image_updater_tokio::http::{HttpClient, HttpSettings};
use rustls::RootCertStore;

use crate::server::{
    Certificate, assert_failed, client, open_gate, pool, request, response, start, until, whole,
};

const UNTRUSTED: &str = "UnknownIssuer";

#[tokio::test]
async fn untrusted_certificate_is_tls_and_insecure_accepts_it() {
    let certificate = Certificate::new("localhost");
    let url = server(&certificate).await;
    let client = client(HttpSettings::default());
    let outcome = client.exchange(request(&url)).await;
    assert_failed(&outcome, TransportKind::Tls, UNTRUSTED);

    let insecure = HttpRequest {
        pool: pool(&url, true),
        ..request(&url)
    };
    whole(client.exchange(insecure).await);

    let trusting = HttpClient::new(HttpSettings::default(), certificate.roots());
    whole(trusting.exchange(request(&url)).await);
}

#[tokio::test]
async fn certificate_for_another_name_is_tls() {
    let certificate = Certificate::new("other.test");
    let url = server(&certificate).await;
    let client = HttpClient::new(HttpSettings::default(), certificate.roots());
    let outcome = client.exchange(request(&url)).await;
    assert_failed(&outcome, TransportKind::Tls, "not valid for name");
}

#[tokio::test]
async fn authorities_of_a_registry_are_its_own_and_added_to_the_systems() {
    let (own, system) = (Certificate::new("localhost"), Certificate::new("localhost"));
    let (own_url, system_url) = (server(&own).await, server(&system).await);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    write(&file, &own.pem).await;
    let client = HttpClient::new(HttpSettings::default(), system.roots());
    for trust in [
        TrustAnchors::File(file.display().to_string()),
        TrustAnchors::Data(own.pem.clone()),
    ] {
        for url in [&own_url, &system_url] {
            whole(client.exchange(trusting(url, trust.clone())).await);
        }
    }
    let outcome = client.exchange(request(&own_url)).await;
    assert_failed(&outcome, TransportKind::Tls, UNTRUSTED);
}

#[tokio::test]
async fn file_named_after_the_host_is_found_in_the_folder() {
    let certificate = Certificate::new("localhost");
    let url = server(&certificate).await;
    let folder = tempfile::tempdir().expect("a folder");
    let client = client(HttpSettings {
        ca_folder: folder.path().to_owned(),
        ..HttpSettings::default()
    });
    let outcome = client.exchange(request(&url)).await;
    assert_failed(&outcome, TransportKind::Tls, UNTRUSTED);
    write(&folder.path().join("localhost"), &certificate.pem).await;
    whole(client.exchange(request(&url)).await);
}

#[tokio::test]
async fn rotated_file_is_noticed_with_the_next_connection() {
    let (old, new) = (Certificate::new("localhost"), Certificate::new("localhost"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    write(&file, &old.pem).await;
    let trust = TrustAnchors::File(file.display().to_string());
    let client = client(HttpSettings::default());
    // The server changes its certificate behind one API URL: the pool stays the same.
    let (old_url, new_url) = (server(&old).await, server(&new).await);
    let registry = Arc::new(PoolKey {
        registry: "https://registry.test".to_owned(),
        insecure: false,
        trust,
    });
    let ask = async |url: &str| {
        let pool = Arc::clone(&registry);
        let request = HttpRequest {
            pool,
            ..request(url)
        };
        client.exchange(request).await
    };
    whole(ask(&old_url).await);
    assert_failed(&ask(&new_url).await, TransportKind::Tls, UNTRUSTED);
    write(&file, &new.pem).await;
    whole(ask(&new_url).await);
}

#[tokio::test]
async fn authorities_that_cannot_be_used_are_tls_and_named_and_insecure_does_not_mind() {
    let certificate = Certificate::new("localhost");
    let url = server(&certificate).await;
    let client = client(HttpSettings::default());
    let missing = TrustAnchors::File("/no/such/ca.pem".to_owned());
    let outcome = client.exchange(trusting(&url, missing.clone())).await;
    let registry = format!("certificate authorities of {url}");
    assert_failed(&outcome, TransportKind::Tls, &registry);
    assert_failed(
        &outcome,
        TransportKind::Tls,
        "/no/such/ca.pem: No such file",
    );
    let nonsense = TrustAnchors::Data("nonsense".to_owned());
    let outcome = client.exchange(trusting(&url, nonsense)).await;
    assert_failed(
        &outcome,
        TransportKind::Tls,
        "ca_data: there is no certificate in it",
    );
    until("nothing stays open", || {
        client.footprint().sockets().open() == 0
    })
    .await;

    let insecure = Arc::new(PoolKey {
        registry: url.clone(),
        insecure: true,
        trust: missing,
    });
    let outcome = client
        .exchange(HttpRequest {
            pool: insecure,
            ..request(&url)
        })
        .await;
    assert!(matches!(outcome, HttpOutcome::Response(_)), "{outcome:?}");
}

#[tokio::test]
async fn without_any_authority_nobody_is_trusted() {
    let url = server(&Certificate::new("localhost")).await;
    let client = HttpClient::new(HttpSettings::default(), RootCertStore::empty());
    let outcome = client.exchange(request(&url)).await;
    assert_failed(&outcome, TransportKind::Tls, UNTRUSTED);
}

fn trusting(url: &str, trust: TrustAnchors) -> HttpRequest {
    HttpRequest {
        pool: Arc::new(PoolKey {
            registry: url.to_owned(),
            insecure: false,
            trust,
        }),
        ..request(url)
    }
}

async fn server(certificate: &Certificate) -> String {
    let config = certificate.server_config(&[b"h2", b"http/1.1"]);
    start(Some(config), open_gate(), |_| response(b"ok"))
        .await
        .0
}

async fn write(path: &Path, content: &str) {
    tokio::fs::write(path, content)
        .await
        .expect("the folder is writable");
}
