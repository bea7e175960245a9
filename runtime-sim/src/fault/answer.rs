//! How a trouble shows: as an answer of its own, or as a change to the registry's answer.

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::http::TransportKind;
use image_updater_core::time::UnixTime;
use image_updater_fixtures::registry::{digest_of, http_date};
use image_updater_fixtures::{Request, Response};
use serde_json::{Value, json};

use crate::fault::{Throttle, Trouble};

/// Pages of tags that are remembered, to be repeated and to be stale later.
const REMEMBERED_MAX: usize = 10_000;

/// What a trouble does before the registry is asked.
#[derive(Debug)]
pub enum Early {
    /// The registry is asked.
    Pass,
    /// The registry is asked later; `None` is when the window ends.
    Delay(Option<Duration>),
    /// The registry is asked, and its answer is lost.
    LoseAnswer,
    /// This is the answer.
    Answer(Response),
    /// The registry is asked without what the client showed: its own challenge is the answer.
    Challenge,
    /// Nothing comes back but this failure.
    Failed(TransportKind, &'static str),
    /// The driver gives up at its own time limit.
    TimesOut,
    /// Only a cancel brings an answer.
    Hang,
}

impl Trouble {
    /// What happens before the registry is asked.
    pub fn early(self, wall: UnixTime) -> Early {
        match self {
            Self::Status(401) => Early::Challenge,
            Self::Status(status) => Early::Answer(Response::json(
                status,
                &json!({ "errors": [{ "code": "TROUBLE", "message": "this registry is in trouble" }] }),
            )),
            Self::Throttled(how) => Early::Answer(how.response(wall)),
            Self::ResetBefore => Early::Failed(TransportKind::Closed, "connection reset by peer"),
            Self::NoPort => Early::Failed(
                TransportKind::NoLocalPort,
                "cannot assign requested address",
            ),
            Self::Hang => Early::Hang,
            Self::TimesOut => Early::TimesOut,
            Self::Slow(secs) => Early::Delay(Some(Duration::from_secs(secs.into()))),
            Self::Clog => Early::Delay(None),
            Self::ResetMid => Early::LoseAnswer,
            Self::Truncated
            | Self::Loop
            | Self::Repeat
            | Self::Shuffled
            | Self::Stale
            | Self::Unchanged
            | Self::WrongDigest => Early::Pass,
        }
    }
}

impl Throttle {
    fn response(self, wall: UnixTime) -> Response {
        let message = match self {
            Self::HintMillis(millis) => format!("retry-after: {millis}ms, allowed: 44000/minute"),
            Self::Bare | Self::Seconds(_) | Self::Date(_) | Self::Past | Self::Huge => {
                "too many requests".to_owned()
            }
        };
        let body = json!({ "errors": [{ "code": "TOOMANYREQUESTS", "message": message }] });
        let response = Response::json(429, &body);
        let ahead = |secs: i64| http_date(UnixTime::from_secs(wall.as_secs() + secs));
        match self {
            Self::Bare | Self::HintMillis(_) => response,
            Self::Seconds(secs) => response.with_header("retry-after", secs.to_string()),
            Self::Date(secs) => response.with_header("retry-after", ahead(i64::from(secs))),
            Self::Past => response.with_header("retry-after", ahead(-3600)),
            Self::Huge => response.with_header("retry-after", "1000000"),
        }
    }
}

/// Pages of tags as they once were.
#[derive(Debug, Default)]
pub(super) struct Memory {
    first_seen: BTreeMap<(String, String), Response>,
}

impl Memory {
    /// Changes the registry's answer as the trouble wants it.
    pub(super) fn spoil(&self, trouble: Trouble, asked: &Request, response: &mut Response) {
        match trouble {
            Trouble::Truncated => {
                let half = response.body.len() / 2;
                response.body.truncate(half);
            }
            Trouble::Loop => {
                response.headers.retain(|(name, _)| name != "link");
                let link = format!("<{}>; rel=\"next\"", asked.target);
                response.headers.push(("link".to_owned(), link));
            }
            Trouble::Repeat => {
                if asked.query("last").is_some()
                    && let Some(first) = self.find(asked, asked.path())
                {
                    response.body.clone_from(&first.body);
                }
            }
            Trouble::Shuffled => shuffle(response),
            Trouble::Stale => {
                if response.status == 200
                    && let Some(old) = self.find(asked, &asked.target)
                {
                    *response = old.clone();
                }
            }
            Trouble::Unchanged => {
                if response.status == 200 && asked.header("if-none-match").is_some() {
                    response.status = 304;
                    response.body.clear();
                }
            }
            Trouble::WrongDigest => {
                for (name, value) in &mut response.headers {
                    if name == "docker-content-digest" {
                        *value = digest_of(value.as_bytes());
                    }
                }
            }
            Trouble::Status(_)
            | Trouble::Throttled(_)
            | Trouble::ResetBefore
            | Trouble::ResetMid
            | Trouble::NoPort
            | Trouble::Hang
            | Trouble::TimesOut
            | Trouble::Slow(_)
            | Trouble::Clog => {}
        }
    }

    /// Keeps a page as it is now, if it is the first of its kind.
    pub(super) fn note(&mut self, asked: &Request, response: &Response) {
        if response.status != 200 || self.first_seen.len() >= REMEMBERED_MAX {
            return;
        }
        let key = (asked.host.clone(), asked.target.clone());
        self.first_seen
            .entry(key)
            .or_insert_with(|| response.clone());
    }

    fn find(&self, asked: &Request, target: &str) -> Option<&Response> {
        let key = (asked.host.clone(), target.to_owned());
        self.first_seen.get(&key)
    }
}

fn shuffle(response: &mut Response) {
    let Ok(mut page) = serde_json::from_slice::<Value>(&response.body) else {
        return;
    };
    if let Some(tags) = page["tags"].as_array_mut() {
        tags.reverse();
        let half = tags.len() / 2;
        tags.rotate_left(half);
    }
    response.body = page.to_string().into_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::EPOCH;

    fn ask(target: &str) -> Request {
        Request {
            method: "GET".into(),
            scheme: "http".into(),
            host: "r0.test".into(),
            target: target.into(),
            headers: vec![("if-none-match".into(), "\"1\"".into())],
            body: Vec::new(),
        }
    }

    fn page(tags: &[&str]) -> Response {
        Response::json(200, &json!({ "tags": tags }))
            .with_header("link", "</v2/a/tags/list?last=b>; rel=\"next\"")
            .with_header("docker-content-digest", "sha256:1")
    }

    fn spoiled(trouble: Trouble, target: &str) -> Response {
        let mut memory = Memory::default();
        memory.note(&ask("/v2/a/tags/list"), &page(&["old"]));
        memory.note(&ask("/v2/a/tags/list?last=b"), &page(&["older"]));
        let mut response = page(&["a", "b", "c"]);
        memory.spoil(trouble, &ask(target), &mut response);
        response
    }

    #[test]
    fn every_late_trouble_changes_the_answer() {
        let first = "/v2/a/tags/list";
        let second = "/v2/a/tags/list?last=b";
        let sound = page(&["a", "b", "c"]);
        for (trouble, target) in [
            (Trouble::Truncated, first),
            (Trouble::Loop, first),
            (Trouble::Repeat, second),
            (Trouble::Shuffled, first),
            (Trouble::Stale, first),
            (Trouble::Unchanged, first),
            (Trouble::WrongDigest, first),
        ] {
            let response = spoiled(trouble, target);
            let is_same = (response.status, &response.headers, &response.body)
                == (sound.status, &sound.headers, &sound.body);
            assert!(!is_same, "{trouble:?}");
        }
        let repeated = spoiled(Trouble::Repeat, second);
        assert_eq!(repeated.body, br#"{"tags":["old"]}"#);
    }

    #[test]
    fn every_throttle_says_it_in_its_way() {
        let header = |how: Throttle| {
            let response = how.response(EPOCH);
            let header = response
                .headers
                .iter()
                .find(|(name, _)| name == "retry-after");
            header.map(|(_, value)| value.clone())
        };
        assert_eq!(header(Throttle::Bare), None);
        assert_eq!(header(Throttle::Seconds(20)).as_deref(), Some("20"));
        let ahead = "Thu, 01 Jan 2026 00:00:20 GMT";
        assert_eq!(header(Throttle::Date(20)).as_deref(), Some(ahead));
        let over = "Wed, 31 Dec 2025 23:00:00 GMT";
        assert_eq!(header(Throttle::Past).as_deref(), Some(over));
        let hint = Throttle::HintMillis(1_500).response(EPOCH);
        assert!(String::from_utf8_lossy(&hint.body).contains("retry-after: 1500ms"));
    }
}
