//! Contents behind tags: verified, read once, and bounded whatever a registry sends.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::driver::{Driver, ok, with};
use super::facts::{INDEX, digest, driver_with, index, typed};
use crate::credential::CredentialSource;
use crate::fixed_cases::{CASES, config};
use crate::http::{HttpOutcome, HttpResponse, Method};
use crate::registry::{
    FactsKind, LookupFailureKind as Kind, RegistrySettings, RepositoryId, TagFacts,
};
use crate::time::UnixTime;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","created":"1970-01-01T00:00:09Z"}"#;

fn driver() -> (Driver, RepositoryId) {
    driver_with(&RegistrySettings::default())
}

fn image() -> String {
    let config = digest(CONFIG);
    format!(r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[]}}"#)
}

fn claimed(status: u16, kind: &str, digest: &str, body: &str) -> HttpResponse {
    let headers = [("content-type", kind), ("docker-content-digest", digest)];
    with(status, &headers, body)
}

/// Signed schema 1 of linux/amd64, with what was signed.
fn schema_1() -> (String, String) {
    let compatibility = CONFIG.replace('"', "\\\"");
    let head =
        format!(r#"{{"schemaVersion":1,"history":[{{"v1Compatibility":"{compatibility}"}}]"#);
    // The tail that was cut off for the signatures is "\n}".
    let protected = format!(r#"{{"formatLength":{},"formatTail":"Cn0"}}"#, head.len());
    let protected = crate::registry::base64::encode(protected.as_bytes());
    let protected = protected.trim_end_matches('=').replace('+', "-");
    let protected = protected.replace('/', "_");
    let body = format!(r#"{head},"signatures":[{{"protected":"{protected}"}}]}}"#);
    (body, format!("{head}\n}}"))
}

#[test]
fn schema_1_has_the_digest_of_what_was_signed() {
    let (mut driver, app) = driver();
    let (body, payload) = schema_1();
    driver.want_facts(app, "1", FactsKind::Digest, 1);
    let own = digest(&payload).to_string();
    driver.answer("manifests/1", claimed(200, SCHEMA_1, &own, &body));
    let facts = |digest| TagFacts::Usable {
        digest,
        created: Some(UnixTime::from_secs(9)),
    };
    let told = driver.take_facts();
    assert_eq!(told, vec![Ok(facts(digest(&payload)))]);
    driver.pass(Duration::from_hours(2));
    driver.want_facts(app, "1", FactsKind::Digest, 2);
    driver.answer("manifests/1", claimed(200, SCHEMA_1, &own, ""));
    assert!(driver.take_facts()[0].is_ok(), "the digest confirms it");
    assert!(driver.requests.is_empty());
    // For a date it is enough to know what was read.
    driver.want_facts(app, "1", FactsKind::Created, 3);
    driver.answer("manifests/1", claimed(200, SCHEMA_1, &own, &body));
    assert_eq!(driver.take_facts(), vec![Ok(facts(digest(&body)))]);
}

#[test]
fn a_manifest_that_was_damaged_on_the_way_is_not_taken_for_what_the_tag_means() {
    let (mut driver, app) = driver();
    let whole = index(&[("amd64", "a")]);
    let damaged = whole.replace("linux", "linuX");
    let own = digest(&whole).to_string();
    driver.want_facts(app, "1", FactsKind::Digest, 1);
    driver.answer("manifests/1", claimed(200, INDEX, &own, &damaged));
    assert!(driver.take_facts().is_empty());
    driver.pass(Duration::from_secs(1));
    driver.answer("manifests/1", claimed(200, INDEX, &own, &whole));
    let told = driver.take_facts();
    assert_eq!(told[0].as_ref().map(TagFacts::digest), Ok(digest(&whole)));
}

#[test]
fn a_manifest_that_stays_damaged_fails_and_is_no_fact() {
    let (mut driver, app) = driver();
    let own = digest("other").to_string();
    driver.want_facts(app, "1", FactsKind::Digest, 1);
    for _ in 0..3 {
        driver.answer("manifests/1", claimed(200, INDEX, &own, "{}"));
        driver.pass(Duration::from_secs(1));
    }
    assert_eq!(driver.take_facts(), vec![Err(Kind::Transient)]);
}

#[test]
fn tags_of_one_content_fetch_its_documents_once() {
    let (mut driver, app) = driver();
    let tags = ["1", "1.2", "1.2.3", "latest"];
    for tag in tags {
        driver.want_facts(app, tag, FactsKind::Created, 1);
    }
    for tag in tags {
        driver.answer(&format!("manifests/{tag}"), typed(IMAGE, &image()));
    }
    assert_eq!(driver.requests.len(), 1, "one config for all");
    assert!(driver.take_facts().is_empty());
    driver.answer(&digest(CONFIG).to_string(), ok(CONFIG));
    let facts = TagFacts::Usable {
        digest: digest(&image()),
        created: Some(UnixTime::from_secs(9)),
    };
    assert_eq!(driver.take_facts(), vec![Ok(facts); 4]);
    assert!(driver.registry.is_quiescent());
}

#[test]
fn what_is_no_manifest_says_nothing_about_the_tag_unless_its_digest_is_confirmed() {
    let error = r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#;
    let whole = image();
    let half = &whole[..20];
    for body in ["", "<html>be right back</html>", error, half, "[]"] {
        let (mut driver, app) = driver();
        driver.want_facts(app, "1", FactsKind::Created, 1);
        driver.want_facts(app, "2", FactsKind::Created, 2);
        for _ in 0..2 {
            driver.answer("", typed(IMAGE, body));
        }
        assert!(driver.take_facts().is_empty(), "{body}: it is asked again");
        for _ in 0..2 {
            driver.pass(Duration::from_secs(3));
            driver.answer("", typed(IMAGE, body));
            driver.answer("", typed(IMAGE, body));
        }
        assert_eq!(driver.take_facts(), vec![Err(Kind::Malformed); 2], "{body}");
        assert!(driver.registry.is_quiescent());
        // Once it is there again, the tag is read.
        driver.pass(Duration::from_mins(5));
        driver.want_facts(app, "1", FactsKind::Created, 3);
        driver.answer("manifests/1", typed(IMAGE, &whole));
        driver.answer(&digest(CONFIG).to_string(), ok(CONFIG));
        assert!(matches!(
            driver.take_facts()[..],
            [Ok(TagFacts::Usable { .. })]
        ));

        driver.want_facts(app, "3", FactsKind::Created, 1);
        let own = digest(body).to_string();
        driver.answer("manifests/3", claimed(200, IMAGE, &own, body));
        assert!(
            matches!(driver.take_facts()[..], [Ok(TagFacts::Unusable { .. })]),
            "{body}: that is what the tag means"
        );
    }
}

#[test]
fn tags_of_one_content_fail_together_when_its_documents_cannot_be_had() {
    for (reply, kind) in [
        (with(404, &[], ""), Kind::Malformed),
        (with(403, &[], ""), Kind::Denied),
    ] {
        let (mut driver, app) = driver();
        for tag in ["1", "2", "3"] {
            driver.want_facts(app, tag, FactsKind::Created, 1);
        }
        for _ in 0..3 {
            driver.answer("", typed(IMAGE, &image()));
        }
        driver.answer(&digest(CONFIG).to_string(), reply);
        assert_eq!(driver.take_facts(), vec![Err(kind); 3]);
        assert!(driver.registry.is_quiescent());
        let failure = driver.failure_of_facts(app, "3", 2).expect("it failed");
        assert!(failure.detail.contains("tag 3"), "its own tag: {failure}");
        let is_about_content = failure.detail.contains("push the image again");
        assert_eq!(is_about_content, kind == Kind::Missing, "{failure}");
        assert!(!failure.detail.contains("name of the image"), "{failure}");
    }
}

#[test]
fn a_repository_that_goes_takes_those_who_wait_for_a_content_along() {
    let (mut driver, app) = driver();
    let empty = driver.registry.footprint();
    for tag in ["1", "2"] {
        driver.want_facts(app, tag, FactsKind::Created, 1);
    }
    for _ in 0..2 {
        driver.answer("", typed(IMAGE, &image()));
    }
    driver.registry.release(app);
    let (op, _) = driver.requests.pop_front().expect("the config");
    driver.complete(op, HttpOutcome::Response(ok(CONFIG)));
    assert!(driver.take_facts().is_empty());
    assert!(driver.registry.is_quiescent());
    assert_eq!(driver.registry.footprint().facts, 0);
    assert!(driver.registry.footprint().rest < empty.rest);
}

#[test]
fn what_one_credential_read_is_read_again_with_another() {
    let (mut driver, _) = driver();
    let ids = ["ONE", "TWO"].map(|name| {
        let source = CredentialSource::Env(name.into());
        driver.repository_as("reg.io", "org/app", Some(&source))
    });
    for id in ids {
        driver.want_facts(id, "1", FactsKind::Created, 1);
        driver.answer_read("user:password");
        driver.answer("manifests/1", typed(IMAGE, &image()));
        let sent = driver.answer(&digest(CONFIG).to_string(), ok(CONFIG));
        assert_eq!(sent.method, Method::Get);
        assert!(driver.take_facts()[0].is_ok());
    }
}

#[test]
fn servers_that_cannot_tell_the_digest_alone_are_asked_for_it_once() {
    let own = index(&[("amd64", "a")]);
    for useless in [with(405, &[], ""), with(501, &[], ""), ok("")] {
        let (mut driver, app) = driver();
        driver.want_facts(app, "latest", FactsKind::Digest, 1);
        driver.answer("latest", typed(INDEX, &own));
        let mut methods = vec![];
        for round in 0..3 {
            driver.pass(Duration::from_secs(95));
            driver.want_facts(app, "latest", FactsKind::Digest, round);
            while let Some((op, request)) = driver.requests.pop_front() {
                methods.push(request.method.as_str());
                let reply = match request.method {
                    Method::Head => useless.clone(),
                    Method::Get | Method::Post => typed(INDEX, &own),
                };
                driver.complete(op, HttpOutcome::Response(reply));
            }
        }
        assert_eq!(methods, ["HEAD", "GET", "GET", "GET"]);
        assert_eq!(driver.take_facts().len(), 4);
    }
}

#[test]
fn a_head_that_fails_in_passing_is_followed_by_a_get_and_the_next_is_a_head() {
    let (mut driver, app) = driver();
    let own = index(&[("amd64", "a")]);
    let known = digest(&own).to_string();
    driver.want_facts(app, "latest", FactsKind::Digest, 1);
    driver.answer("latest", typed(INDEX, &own));
    driver.pass(Duration::from_secs(95));
    driver.want_facts(app, "latest", FactsKind::Digest, 2);
    let sent = driver.answer("latest", with(502, &[], ""));
    assert_eq!(sent.method, Method::Head);
    driver.pass(Duration::from_secs(1));
    let sent = driver.answer("latest", typed(INDEX, &own));
    assert_eq!(sent.method, Method::Get);
    driver.pass(Duration::from_secs(95));
    driver.want_facts(app, "latest", FactsKind::Digest, 3);
    let sent = driver.answer("latest", claimed(200, INDEX, &known, ""));
    assert_eq!(sent.method, Method::Head);
    assert_eq!(driver.take_facts().len(), 3);
}

#[test]
fn one_image_that_stands_for_several_platforms_is_fetched_once() {
    let (mut driver, app) = driver();
    let image = image();
    let index = index(&[("amd64", &image), ("amd64", &image), ("amd64", &image)]);
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("manifests/1", typed(INDEX, &index));
    driver.answer(&digest(&image).to_string(), typed(IMAGE, &image));
    driver.answer(&digest(CONFIG).to_string(), ok(CONFIG));
    assert!(driver.take_facts()[0].is_ok());
}

#[test]
fn a_list_that_is_too_long_is_refused_before_it_fills_memory() {
    let child = format!(r#"{{"digest":"{}"}}"#, digest("x"));
    for (n_children, is_usable) in [(10_000, true), (10_001, false)] {
        let body = format!(
            r#"{{"manifests":[{}]}}"#,
            vec![child.as_str(); n_children].join(",")
        );
        let (mut driver, app) = driver();
        driver.want_facts(app, "1", FactsKind::Digest, 1);
        driver.answer("1", typed(INDEX, &body));
        let told = driver.take_facts();
        let is_other = matches!(told[0], Ok(TagFacts::OtherPlatform { .. }));
        assert_eq!(is_other, is_usable, "{n_children}: {told:?}");
    }
}

#[test]
fn the_words_of_a_store_behind_a_redirect_are_not_repeated() {
    let (mut driver, app) = driver();
    driver.want_facts(app, "1", FactsKind::Created, 1);
    driver.answer("1", typed(IMAGE, &image()));
    let place = [("location", "https://store.example/x?X-Amz-Signature=canary")];
    driver.answer("", with(307, &place, ""));
    let shown = format!("{:?} {:?}", driver.requests, driver.registry);
    assert!(!shown.contains("canary"), "{shown}");
    let words = "<Error><SignatureProvided>canary</SignatureProvided></Error>";
    driver.answer("canary", with(403, &[], words));
    assert_eq!(driver.take_facts(), vec![Err(Kind::Denied)]);
    let failure = driver.failure_of_facts(app, "1", 2).expect("it failed");
    assert!(!failure.detail.contains("canary"), "{failure}");
    assert!(failure.detail.contains("403"), "{failure}");
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn whatever_stands_in_manifests_a_lookup_ends_with_one_answer(
        bodies in prop::collection::vec(any_document(), 1..6),
        kind in prop::sample::select(vec![FactsKind::Digest, FactsKind::Created]),
    ) {
        let (mut driver, app) = driver();
        driver.want_facts(app, "1", kind, 1);
        let mut n_requests = 0;
        for (content_type, body) in bodies.iter().cycle().take(1000) {
            let Some((op, _)) = driver.requests.pop_front() else {
                break;
            };
            n_requests += 1;
            let reply = with(200, &[("content-type", content_type)], body);
            driver.complete(op, HttpOutcome::Response(reply));
            driver.pass(Duration::from_secs(4));
        }
        prop_assert!(n_requests <= 6, "{} requests", n_requests);
        prop_assert_eq!(driver.take_facts().len(), 1);
        prop_assert!(driver.registry.is_quiescent());
    }
}

/// A content type and a document: whole ones, pieces, ones with a byte changed, and noise.
fn any_document() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let whole = || {
        let documents = [
            index(&[("amd64", &image())]),
            image(),
            schema_1().0,
            CONFIG.into(),
        ];
        prop::sample::select(documents.to_vec())
    };
    let body = prop_oneof![
        whole().prop_map(String::into_bytes),
        (whole(), any::<prop::sample::Index>())
            .prop_map(|(text, at)| text.as_bytes()[..at.index(text.len())].to_vec()),
        (whole(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    let kinds = vec![INDEX, IMAGE, SCHEMA_1, "application/json", "nonsense"];
    (prop::sample::select(kinds), body)
}
