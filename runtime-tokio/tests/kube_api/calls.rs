//! Patches, reads and Secrets, from replies to outcomes.

use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::CredentialSource;
use image_updater_core::effect::{ApplicationPatch, PatchOperation, PatchVerb};
use image_updater_core::id::AppKey;
use image_updater_core::input::{PatchOutcome, ReadOutcome};
use image_updater_core::secret::Secret;
use image_updater_tokio::credential::CredentialReader;
use image_updater_tokio::kube::ClusterClient;
use tokio::net::TcpListener;

use super::fake::{Answer, End, Fake};

const OBJECT: &str =
    r#"{"metadata":{"namespace":"argocd","name":"web","uid":"u","resourceVersion":"6"}}"#;

#[tokio::test(start_paused = true)]
async fn patch_goes_out_as_json_patch_with_its_guard() {
    let fake = Fake::new([Answer::new(200, OBJECT)]);
    let outcome = fake.client().patch_application(&patch()).await;
    let PatchOutcome::Done(app) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(&*app.resource_version, "6");
    let asked = fake.asked().remove(0);
    assert_eq!(asked.method, "PATCH");
    assert_eq!(asked.content_type, "application/json-patch+json");
    assert_eq!(
        asked.target,
        "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/web?fieldManager=argocd-image-updater"
    );
    let sent: serde_json::Value = serde_json::from_str(&asked.body).expect("it is JSON");
    assert_eq!(
        sent,
        serde_json::json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "5"},
            {"op": "add", "path": "/spec/source/helm", "value": {}},
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn replies_to_a_patch_become_outcomes() {
    let denied = PatchOutcome::Denied(
        "not allowed: grant the verb patch on applications.argoproj.io in namespace argocd".into(),
    );
    let throttled = |secs| PatchOutcome::Throttled(Some(Duration::from_secs(secs)));
    check_patch(Answer::status(409, "modified"), PatchOutcome::Conflict).await;
    check_patch(Answer::status(404, "not found"), PatchOutcome::Missing).await;
    check_patch(Answer::status(403, "forbidden"), denied).await;
    check_patch(
        Answer::status(401, "Unauthorized"),
        PatchOutcome::Denied("the API server does not accept our credentials".into()),
    )
    .await;
    for status in [400, 405, 413, 415] {
        let text = format!("status {status}: wrong");
        check_patch(
            Answer::status(status, "wrong"),
            PatchOutcome::Rejected(text),
        )
        .await;
    }
    check_patch(Answer::status(429, "slow"), PatchOutcome::Throttled(None)).await;
    for status in [429, 503] {
        let by_header = Answer {
            retry_after: Some("7"),
            ..Answer::status(status, "slow")
        };
        check_patch(by_header, throttled(7)).await;
        let by_body = Answer::new(status, r#"{"details":{"retryAfterSeconds":3}}"#);
        check_patch(by_body, throttled(3)).await;
    }
    for status in [500, 502, 503, 504] {
        let text = format!("status {status}: away");
        check_patch(Answer::status(status, "away"), PatchOutcome::Unknown(text)).await;
    }
    check_patch(
        Answer::new(200, "{}"),
        PatchOutcome::Unknown("the reply holds no application".into()),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn patch_that_no_longer_applies_is_a_conflict_when_the_object_has_changed() {
    let object = |version: u32| {
        Answer::new(
            200,
            format!(
                r#"{{"metadata":{{"namespace":"argocd","name":"web","uid":"u","resourceVersion":"{version}"}}}}"#
            ),
        )
    };
    let rejected = || PatchOutcome::Rejected("status 422: missing path".into());
    for (now, expected) in [
        (object(6), PatchOutcome::Conflict),
        (object(5), rejected()),
        (Answer::status(404, "gone"), PatchOutcome::Missing),
        (Answer::status(500, "away"), rejected()),
    ] {
        let fake = Fake::new([Answer::status(422, "missing path"), now]);
        let outcome = fake.client().patch_application(&patch()).await;
        assert_eq!(outcome, expected);
        let methods: Vec<_> = fake.asked().into_iter().map(|asked| asked.method).collect();
        assert_eq!(methods, ["PATCH", "GET"]);
    }
}

#[tokio::test(start_paused = true)]
async fn patch_whose_reply_is_lost_is_unknown() {
    for end in [End::Hang, End::Break] {
        let fake = Fake::new([Answer {
            end,
            ..Answer::new(200, "{")
        }]);
        let outcome = fake.client().patch_application(&patch()).await;
        assert!(matches!(outcome, PatchOutcome::Unknown(_)), "{outcome:?}");
    }
    let fake = Fake::new([]);
    let outcome = fake.client().patch_application(&patch()).await;
    assert_eq!(
        outcome,
        PatchOutcome::Unknown("no reply of the API server within 30s".into())
    );
}

#[tokio::test]
async fn patch_that_reached_nobody_is_transient_and_one_that_reached_somebody_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = real_client(&listener);
    let patch = patch();
    let (outcome, ()) = tokio::join!(client.patch_application(&patch), async {
        drop(listener.accept().await);
    });
    assert!(matches!(outcome, PatchOutcome::Unknown(_)), "{outcome:?}");

    drop(listener);
    let outcome = client.patch_application(&patch).await;
    assert!(matches!(outcome, PatchOutcome::Transient(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn replies_to_a_read_become_outcomes() {
    check_read(Answer::status(404, "not found"), ReadOutcome::Missing).await;
    check_read(
        Answer::status(403, "forbidden"),
        ReadOutcome::Denied(
            "not allowed: grant the verb get on applications.argoproj.io in namespace argocd"
                .into(),
        ),
    )
    .await;
    check_read(Answer::status(429, "slow"), ReadOutcome::Throttled(None)).await;
    check_read(
        Answer::status(500, "away"),
        ReadOutcome::Transient("status 500: away".into()),
    )
    .await;
    let outcome = read(Answer::new(200, OBJECT)).await;
    assert!(matches!(outcome, ReadOutcome::Found(_)), "{outcome:?}");
    let hangs = Answer {
        end: End::Hang,
        ..Answer::new(200, "{")
    };
    let outcome = read(hangs).await;
    assert!(matches!(outcome, ReadOutcome::Transient(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_by_field_and_errors_name_them() {
    let found = |text: &str| CredentialOutcome::Found(Secret::new(text));
    let missing = |text: &str| CredentialOutcome::Missing(text.to_owned());
    let content = r#"{"data":{"creds":"dXNlcjpwYXNz",".dockerconfigjson":"e30=","bytes":"//4="}}"#;
    let check = async |answer, source, expected| {
        let fake = Fake::new([answer]);
        let reader = CredentialReader::new(Some(fake.client()));
        assert_eq!(reader.read(&source).await, expected);
        assert!(
            fake.asked()
                .iter()
                .all(|asked| asked.target == "/api/v1/namespaces/argocd/secrets/reg")
        );
    };
    check(
        Answer::new(200, content),
        secret("reg", "creds"),
        found("user:pass"),
    )
    .await;
    let pull_secret = CredentialSource::PullSecret {
        namespace: "argocd".into(),
        name: "reg".into(),
    };
    check(Answer::new(200, content), pull_secret, found("{}")).await;
    check(
        Answer::new(200, content),
        secret("reg", "other"),
        missing("secret argocd/reg has no field \"other\""),
    )
    .await;
    check(
        Answer::new(200, "{}"),
        secret("reg", "creds"),
        missing("secret argocd/reg has no field \"creds\""),
    )
    .await;
    check(
        Answer::new(200, content),
        secret("reg", "bytes"),
        CredentialOutcome::Failed("field \"bytes\" of secret argocd/reg is no text".into()),
    )
    .await;
    check(
        Answer::status(404, ""),
        secret("reg", "creds"),
        missing("secret argocd/reg does not exist"),
    )
    .await;
    check(
        Answer::status(403, ""),
        secret("reg", "creds"),
        CredentialOutcome::Denied(
            "cannot read secret argocd/reg: not allowed: grant the verb get on secrets in namespace argocd"
                .into(),
        ),
    )
    .await;
    check(
        Answer::new(200, r#"{"data":{"creds":"no base64: hidden"}}"#),
        secret("reg", "creds"),
        CredentialOutcome::Failed("secret argocd/reg cannot be understood".into()),
    )
    .await;
    check(
        Answer::new(200, content),
        secret("..", "creds"),
        missing("\"argocd\"/\"..\" cannot be the name of a secret"),
    )
    .await;
}

async fn check_patch(answer: Answer, expected: PatchOutcome) {
    let fake = Fake::new([answer]);
    let outcome = fake.client().patch_application(&patch()).await;
    assert_eq!(outcome, expected);
    assert_eq!(fake.asked().len(), 1, "a patch is sent once");
}

async fn check_read(answer: Answer, expected: ReadOutcome) {
    assert_eq!(read(answer).await, expected);
}

async fn read(answer: Answer) -> ReadOutcome {
    let key = AppKey::new("argocd", "web");
    let fake = Fake::new([answer]);
    fake.client()
        .read_application(&key, Duration::from_secs(30))
        .await
}

fn secret(name: &str, field: &str) -> CredentialSource {
    CredentialSource::Secret {
        namespace: "argocd".into(),
        name: name.into(),
        field: field.into(),
    }
}

fn patch() -> ApplicationPatch {
    ApplicationPatch {
        key: AppKey::new("argocd", "web"),
        resource_version: "5".into(),
        operations: vec![PatchOperation {
            verb: PatchVerb::Add,
            path: "/spec/source/helm".to_owned(),
            value: serde_json::json!({}),
        }],
        timeout: Duration::from_secs(30),
    }
}

/// The client as it is shipped, for a server at this address.
fn real_client(listener: &TcpListener) -> ClusterClient {
    let address = listener.local_addr().expect("it is bound");
    let url = format!("http://{address}").parse().expect("a URL");
    let mut config = kube::Config::new(url);
    config.default_retry = false;
    ClusterClient::new(kube::Client::try_from(config).expect("a client"))
}
