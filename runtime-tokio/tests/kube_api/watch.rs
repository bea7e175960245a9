//! The watch of Applications, from a script to the core's inputs.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image_updater_core::input::{ClusterInput, Input};
use image_updater_tokio::kube::{WatchEnd, WatchScope, watch_applications};
use image_updater_tokio::spawn::spawn;
use tokio::sync::mpsc;

use super::fake::{Answer, End, Fake};

const LISTING_END: &str = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"20","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

#[tokio::test(start_paused = true)]
async fn streaming_list_is_followed_and_resumed_from_the_last_version() {
    let first = [
        event("ADDED", "a", 3),
        event("ADDED", "b", 9),
        LISTING_END.to_owned(),
        event("MODIFIED", "a", 21),
        event("DELETED", "b", 22),
        bookmark(30),
    ];
    check(
        [
            Answer::lines(&first, End::CloseAfter(Duration::from_mins(5))),
            Answer::lines(&[event("ADDED", "c", 31)], End::Hang),
        ],
        "begun, applied a@3, applied b@9, done, applied a@21, deleted b, applied c@31",
        "0 stream, 300 watch 30, 630 watch 31",
        "cannot watch applications: the watch fell silent",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn watch_that_is_cut_off_goes_on_quietly_and_not_too_fast() {
    let listed = [event("ADDED", "a", 3), LISTING_END.to_owned()];
    let cut = |version| Answer::lines(&[event("MODIFIED", "a", version)], End::Break);
    let log = check(
        [Answer::lines(&listed, End::Break), cut(21), cut(22)],
        "begun, applied a@3, done, applied a@21, applied a@22",
        "0 stream, 1 watch 20, 3 watch 21, 7 watch 22",
        "the watch was cut off",
    )
    .await;
    // The silence after the story is complained about, the cuts are not.
    assert_eq!(log.matches("cannot watch").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn refused_streaming_list_becomes_pages_for_good() {
    for refusal in [422, 400] {
        check(
            [
                Answer::status(refusal, "sendInitialEvents is forbidden"),
                page(&[object("a", 1), object("b", 2)], 7, "t/1"),
                page(&[object("c", 3)], 7, ""),
                Answer::lines(&[error(410)], End::Close),
                page(&[object("c", 3)], 40, ""),
            ],
            "begun, applied a@1, applied b@2, applied c@3, done, begun, applied c@3, done",
            "0 stream, 0 list, 0 list t%2F1, 0 watch 7, 1 list, 1 watch 40",
            "listing applications by pages",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn streaming_list_refused_by_an_error_event_or_by_silence_becomes_pages() {
    let pages = || page(&[object("a", 1)], 7, "");
    check(
        [Answer::lines(&[error(500)], End::Close), pages()],
        "begun, begun, applied a@1, done",
        "0 stream, 0 list, 0 watch 7",
        "error 500 in the watch",
    )
    .await;
    check(
        [Answer::lines(&[event("ADDED", "a", 1)], End::Hang), pages()],
        "begun, applied a@1, begun, applied a@1, done",
        "0 stream, 60 list, 60 watch 7",
        "the streaming list did not end",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn expired_version_lists_anew_whether_it_comes_as_status_or_as_event() {
    for expired in [
        Answer::status(410, "too old"),
        Answer::lines(&[error(410)], End::Close),
    ] {
        let listed = Answer::lines(
            &[event("ADDED", "a", 1), LISTING_END.to_owned()],
            End::CloseAfter(Duration::from_mins(5)),
        );
        check(
            [listed.clone(), expired, listed],
            "begun, applied a@1, done, begun, applied a@1, done",
            "0 stream, 300 watch 20, 301 stream, 601 watch 20",
            "",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn listing_followed_by_410_again_and_again_slows_down() {
    let mut script = vec![Answer::status(422, "no streaming lists")];
    for _ in 0..6 {
        script.push(page(&[], 7, ""));
        script.push(Answer::status(410, "too old"));
    }
    check(
        script,
        &["begun, done"; 6].join(", "),
        "0 stream, 0 list, 0 watch 7, 1 list, 1 watch 7, 3 list, 3 watch 7, 7 list, 7 watch 7, \
         15 list, 15 watch 7, 31 list, 31 watch 7, 61 list",
        "",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn streaming_list_that_is_broken_off_is_slowed_down_and_then_replaced() {
    let broken = |end| Answer::lines(&[event("ADDED", "a", 1)], end);
    check(
        [
            broken(End::Close),
            broken(End::Break),
            broken(End::Close),
            page(&[object("a", 1)], 7, ""),
        ],
        "begun, applied a@1, begun, applied a@1, begun, applied a@1, begun, applied a@1, done",
        "0 stream, 1 stream, 3 stream, 7 list, 7 watch 7",
        "the streaming list was broken off",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn listing_that_fails_at_a_later_page_is_not_ended() {
    for failure in [
        Answer::status(500, "etcd is away"),
        Answer::status(410, "the continue token is too old"),
        Answer::new(200, "{\"items\":[{"),
        Answer {
            end: End::Break,
            ..Answer::new(200, "{")
        },
    ] {
        check(
            [
                Answer::status(422, "no streaming lists"),
                page(&[object("a", 1)], 7, "t"),
                failure,
                page(&[object("a", 1)], 8, ""),
            ],
            "begun, applied a@1, begun, applied a@1, done",
            "0 stream, 0 list, 0 list t, 1 list, 1 watch 8",
            "",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn forbidden_watch_polls_at_a_bounded_rate_and_comes_back_when_it_is_allowed() {
    let forbidden = || Answer::status(403, "cannot watch");
    let mut script = vec![forbidden()];
    script.extend((0..10).map(|_| page(&[], 7, "")));
    script.push(forbidden());
    script.extend((0..10).map(|_| page(&[], 8, "")));
    script.push(Answer::lines(
        &[event("ADDED", "a", 9)],
        End::CloseAfter(Duration::from_mins(1)),
    ));
    let mut asked = "0 stream".to_owned();
    for at in (0..=135).step_by(15) {
        write!(asked, ", {at} list").expect("a String takes any text");
    }
    asked.push_str(", 135 watch 7");
    for at in (150..=285).step_by(15) {
        write!(asked, ", {at} list").expect("a String takes any text");
    }
    asked.push_str(", 285 watch 8, 345 watch 9");
    let said = check(
        script,
        &format!("{}, applied a@9", ["begun, done"; 20].join(", ")),
        &asked,
        "grant the verb watch on applications.argoproj.io in namespace argocd; \
         until then applications are listed every 15 s",
    )
    .await;
    assert_eq!(said.matches("grant the verb watch").count(), 1, "{said}");
    assert!(said.contains("watching applications again"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn watch_forbidden_for_a_moment_after_it_was_allowed_goes_on_quietly() {
    let minute = End::CloseAfter(Duration::from_mins(1));
    let first = [event("ADDED", "a", 5), LISTING_END.to_owned()];
    let said = check(
        [
            Answer::lines(&first, minute),
            Answer::status(403, "clusterrole not found"),
            Answer::lines(&[event("MODIFIED", "a", 22)], minute),
            Answer::status(403, "cannot watch"),
            Answer::status(403, "cannot watch"),
            page(&[], 9, ""),
        ],
        "begun, applied a@5, done, applied a@22, begun, done",
        "0 stream, 60 watch 20, 61 watch 20, 121 watch 22, 122 watch 22, 122 list",
        "grant the verb watch on applications.argoproj.io",
    )
    .await;
    assert_eq!(said.matches("grant the verb watch").count(), 1, "{said}");
}

#[tokio::test(start_paused = true)]
async fn forbidden_list_names_the_verb_and_deletes_nothing() {
    check(
        [
            Answer::status(403, "cannot watch"),
            Answer::status(403, "cannot list"),
            Answer::status(403, "cannot list"),
        ],
        "",
        "0 stream, 0 list, 15 list, 30 list",
        "grant the verb list on applications.argoproj.io",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn server_that_asks_to_wait_is_waited_for() {
    let throttled = Answer {
        retry_after: Some("20"),
        ..Answer::status(429, "slow down")
    };
    let by_event = r#"{"type":"ERROR","object":{"code":429,"details":{"retryAfterSeconds":40}}}"#;
    check(
        [throttled, Answer::lines(&[by_event], End::Close)],
        "begun",
        "0 stream, 20 stream, 60 stream",
        "the API server asks to wait",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn odd_object_spoils_neither_its_list_nor_the_watch() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let odd = [
        r#"{"metadata":{"namespace":"argocd","name":"odd","uid":"u","resourceVersion":"2"},"spec":7,"status":[]}"#.to_owned(),
        r#"{"metadata":null}"#.to_owned(),
        "5".to_owned(),
        format!(r#"{{"metadata":{{"namespace":"argocd","name":"deep","uid":"u","resourceVersion":"4"}},"spec":{{"source":{deep}}}}}"#),
    ];
    let mut items = odd.to_vec();
    items.push(object("a", 1));
    let mut lines: Vec<_> = items
        .iter()
        .map(|object| format!(r#"{{"type":"ADDED","object":{object}}}"#))
        .collect();
    lines.insert(1, r#"{"type":"NOVEL","object":{}}"#.to_owned());
    lines.push(LISTING_END.to_owned());
    check(
        [Answer::lines(
            &lines,
            End::CloseAfter(Duration::from_mins(5)),
        )],
        "begun, applied odd@2, applied deep@4, applied a@1, done",
        "0 stream, 300 watch 20",
        "",
    )
    .await;
    check(
        [Answer::status(422, ""), page(&items, 7, "")],
        "begun, applied odd@2, applied deep@4, applied a@1, done",
        "0 stream, 0 list, 0 watch 7",
        "",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn selector_and_scope_are_asked_for() {
    let fake = Fake::new([Answer::status(422, ""), page(&[], 7, "")]);
    let (sender, _inputs) = mpsc::channel(8);
    let scope = WatchScope {
        namespace: None,
        label_selector: "team in (a,b),!x".to_owned(),
        interval: Duration::from_mins(1),
    };
    let task = spawn(watch_applications(fake.client(), scope, sender));
    fake.is_done().await;
    task.abort();
    for asked in fake.asked() {
        let (path, query) = asked.target.split_once('?').expect("there is a query");
        assert_eq!(path, "/apis/argoproj.io/v1alpha1/applications");
        assert!(
            query.contains("labelSelector=team%20in%20%28a%2Cb%29%2C%21x"),
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn watch_ends_when_nobody_listens() {
    let fake = Fake::new([Answer::status(500, "down")]);
    let (sender, inputs) = mpsc::channel(1);
    let task = spawn(watch_applications(fake.client(), scope(), sender));
    drop(inputs);
    assert_eq!(task.await.expect("it ends by itself"), WatchEnd::Closed);
}

#[tokio::test(start_paused = true)]
async fn single_pass_is_given_up_when_the_first_listing_fails_again_and_again() {
    let down = || Answer::status(500, "etcd is away");
    // A refused streaming list is no failure yet.
    check_given_up(
        std::iter::once(Answer::status(422, "")).chain((0..9).map(|_| down())),
        "status 500: etcd is away",
        &[0, 0, 1, 3, 7, 15],
    )
    .await;
    check_given_up(
        (0..9).map(|_| Answer::status(403, "no")),
        "grant the verb list on applications.argoproj.io",
        &[0, 0, 10, 20, 30, 40],
    )
    .await;
    // It is not waited for longer than a minute.
    let throttled = Answer {
        retry_after: Some("50"),
        ..Answer::status(429, "slow down")
    };
    check_given_up(
        [throttled.clone(), throttled],
        "the API server asks to wait",
        &[0, 50],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn single_pass_that_has_listed_once_is_not_given_up() {
    let mut script = vec![Answer::status(422, ""), page(&[], 7, "")];
    script.extend((0..8).map(|_| Answer::status(500, "etcd is away")));
    let fake = Fake::new(script);
    let (sender, _inputs) = mpsc::channel(8);
    let task = spawn(watch_applications(fake.client(), single_pass(), sender));
    fake.is_done().await;
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn repeated_passes_go_on_trying_and_say_each_reason_once() {
    let mut script: Vec<_> = (0..8).map(|_| Answer::status(401, "")).collect();
    script.extend((0..8).map(|_| Answer::status(404, "")));
    script.extend((0..8).map(|_| Answer::status(500, "etcd is away")));
    let n = script.len();
    let log = Log::default();
    let _recording = tracing::subscriber::set_default(log.clone());
    let fake = Fake::new(script);
    let (sender, _inputs) = mpsc::channel(8);
    let task = spawn(watch_applications(fake.client(), scope(), sender));
    fake.is_done().await;
    assert!(!task.is_finished());
    task.abort();
    assert_eq!(fake.asked().len(), n);
    let log = log.text();
    assert_eq!(log.matches("cannot watch applications").count(), 3, "{log}");
    for reason in [
        "does not accept our credentials",
        "is Argo CD installed there?",
        "etcd is away",
    ] {
        assert_eq!(log.matches(reason).count(), 1, "{reason}: {log}");
    }
}

/// Plays `script` to a single pass, which is given up for `reason` after requests at these seconds.
async fn check_given_up(script: impl IntoIterator<Item = Answer>, reason: &str, asked: &[u64]) {
    let fake = Fake::new(script);
    let (sender, _inputs) = mpsc::channel(8);
    match watch_applications(fake.client(), single_pass(), sender).await {
        WatchEnd::NeverListed(said) => assert!(said.contains(reason), "{reason:?}: {said}"),
        WatchEnd::Closed => panic!("somebody listens"),
    }
    let at = fake.asked().into_iter().map(|asked| asked.at.as_secs());
    assert_eq!(at.collect::<Vec<_>>(), asked, "{reason}");
}

fn single_pass() -> WatchScope {
    WatchScope {
        interval: Duration::ZERO,
        ..scope()
    }
}

/// Plays `script`, and compares the core's inputs and what was asked (`second request`) with what is
/// expected; the request that has no answer left is the last. Returns the log, which holds `said`.
async fn check(
    script: impl IntoIterator<Item = Answer>,
    inputs: &str,
    asked: &str,
    said: &str,
) -> String {
    let log = Log::default();
    let _recording = tracing::subscriber::set_default(log.clone());
    // The last request of a script is seen through one more answer, which is never read to its end.
    let hang = Answer {
        end: End::Hang,
        ..Answer::new(200, "")
    };
    let n_asked = asked.split(", ").count();
    let mut script: Vec<_> = script.into_iter().collect();
    if script.len() < n_asked {
        script.push(hang);
    }
    let fake = Fake::new(script);
    let (sender, mut receiver) = mpsc::channel(1000);
    let task = spawn(watch_applications(fake.client(), scope(), sender));
    fake.is_done().await;
    task.abort();
    let mut seen = Vec::new();
    while let Ok(input) = receiver.try_recv() {
        seen.push(describe_input(&input));
    }
    // What the answer that hangs set off is not part of the story.
    let expected: Vec<_> = inputs.split(", ").filter(|text| !text.is_empty()).collect();
    seen.truncate(expected.len());
    assert_eq!(seen, expected, "inputs");
    let requests = fake.asked();
    let requests = requests.iter().take(n_asked).map(|asked| {
        let secs = asked.at.as_millis().div_ceil(1000);
        format!("{secs} {}", describe_target(&asked.target))
    });
    assert_eq!(requests.collect::<Vec<_>>().join(", "), asked, "requests");
    let log = log.text();
    assert!(log.contains(said), "{said:?} was not said: {log}");
    log
}

fn scope() -> WatchScope {
    WatchScope {
        namespace: Some("argocd".to_owned()),
        label_selector: String::new(),
        interval: Duration::from_mins(1),
    }
}

fn describe_input(input: &Input) -> String {
    let Input::Cluster(input) = input else {
        panic!("the watch speaks of the cluster only");
    };
    match input {
        ClusterInput::ResetBegun => "begun".to_owned(),
        ClusterInput::ResetDone => "done".to_owned(),
        ClusterInput::Applied(app) => format!("applied {}@{}", app.key.name, app.resource_version),
        ClusterInput::Deleted(key) => format!("deleted {}", key.name),
        ClusterInput::Patched(..) | ClusterInput::Read(..) => panic!("nobody asked"),
    }
}

fn describe_target(target: &str) -> String {
    let (path, query) = target.split_once('?').expect("there is a query");
    assert_eq!(
        path,
        "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
    );
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    match (value("watch"), value("sendInitialEvents")) {
        (Some("true"), Some("true")) => {
            assert_eq!(value("resourceVersionMatch"), Some("NotOlderThan"));
            assert_eq!(value("resourceVersion"), None);
            "stream".to_owned()
        }
        (Some("true"), _) => {
            format!("watch {}", value("resourceVersion").expect("a version"))
        }
        _ => {
            assert_eq!(value("limit"), Some("100"));
            format!("list {}", value("continue").unwrap_or_default())
                .trim()
                .to_owned()
        }
    }
}

fn object(name: &str, version: u32) -> String {
    format!(
        r#"{{"metadata":{{"namespace":"argocd","name":"{name}","uid":"uid-{name}","resourceVersion":"{version}"}}}}"#
    )
}

fn event(kind: &str, name: &str, version: u32) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, object(name, version))
}

fn bookmark(version: u32) -> String {
    format!(r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}"#)
}

fn error(code: u16) -> String {
    format!(r#"{{"type":"ERROR","object":{{"kind":"Status","code":{code},"message":"planted"}}}}"#)
}

fn page(items: &[String], version: u32, token: &str) -> Answer {
    Answer::new(
        200,
        format!(
            r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{}]}}"#,
            items.join(",")
        ),
    )
}

/// Keeps the messages that are logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("no panic before").clone()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("image_updater_tokio")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = self.0.lock().expect("no panic before");
        event.record(
            &mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                writeln!(text, "{value:?}").expect("a String takes any text");
            },
        );
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
