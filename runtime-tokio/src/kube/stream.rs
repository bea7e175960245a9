//! An open watch: its lines as events.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use image_updater_core::app::Application;
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{ClusterClient, STATUS_BYTES_MAX, Status, applications_path, encode, read_whole};
use super::lines::Lines;
use super::object::read_application;
use super::trouble::{Request, Trouble};
use super::watch::WatchScope;
use crate::http::failure::describe;

/// How long the server is asked to keep a watch open.
const WATCH_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a watch may be silent: a little longer than the server keeps it.
const SILENCE_MAX: Duration = Duration::from_secs(330);
/// How long a streaming list may be silent before its end.
const LISTING_SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long the server may take to open a watch.
const OPEN_TIMEOUT: Duration = Duration::from_mins(1);
/// Marks the bookmark that ends a streaming list.
const LISTING_ENDS: &str = "k8s.io/initial-events-end";

/// Something that a watch said.
#[derive(Debug)]
pub(super) enum WatchEvent {
    /// ADDED or MODIFIED.
    Applied(Box<Application>),
    /// DELETED, with the last form.
    Deleted(Box<Application>),
    /// A bookmark.
    Bookmark {
        /// The version reached.
        version: String,
        /// It ends the streaming list.
        is_listing_end: bool,
    },
    /// An event that says nothing to us.
    Skipped,
}

/// An open watch.
#[derive(Debug)]
pub(super) struct WatchStream {
    body: Body,
    lines: Lines,
    is_listing: bool,
}

impl WatchStream {
    /// Opens a watch from `version`, or with a streaming list when there is none.
    pub(super) async fn open(
        cluster: &ClusterClient,
        scope: &WatchScope,
        version: Option<&str>,
    ) -> Result<Self, Trouble> {
        let path = watch_path(scope, version);
        let request = super::api::request(Method::GET, &path, Body::empty());
        let opening = async {
            let response = cluster.send(request).await?;
            if response.status() == http::StatusCode::OK {
                return Ok(response.into_body());
            }
            let reply = read_whole(response, STATUS_BYTES_MAX).await?;
            let kind = match version {
                Some(_) => Request::Watch,
                None => Request::StreamingList,
            };
            Err(Trouble::from_reply(
                &reply,
                kind,
                scope.namespace.as_deref(),
            ))
        };
        let body = tokio::time::timeout(OPEN_TIMEOUT, opening)
            .await
            .map_err(|_| Trouble::Unreachable("the watch was not opened in time".to_owned()))??;
        Ok(Self {
            body,
            lines: Lines::default(),
            is_listing: version.is_none(),
        })
    }

    /// The next event; `None` when the server ended the watch.
    pub(super) async fn take_next(&mut self) -> Result<Option<WatchEvent>, Trouble> {
        loop {
            if let Some(line) = self.lines.take_next() {
                let event = read_event(&line, self.is_listing)?;
                if let WatchEvent::Bookmark {
                    is_listing_end: true,
                    ..
                } = event
                {
                    self.is_listing = false;
                }
                return Ok(Some(event));
            }
            let silence_max = if self.is_listing {
                LISTING_SILENCE_MAX
            } else {
                SILENCE_MAX
            };
            let Ok(frame) = tokio::time::timeout(silence_max, self.body.frame()).await else {
                return Err(self.on_silence());
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) if self.is_listing => {
                    return Err(Trouble::Broken(describe(&error)));
                }
                // Servers restart and proxies cut what is old: where it can go on from the version
                // reached, that is an end like any other, and only a failure to go on is told.
                Some(Err(error)) => {
                    tracing::debug!("the watch was cut off: {}", describe(&error));
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.lines.extend(data).map_err(|_| {
                            Trouble::Broken("a line of the watch is too long".to_owned())
                        })?;
                    }
                }
            }
        }
    }

    /// A server that does not know streaming lists never ends one.
    fn on_silence(&self) -> Trouble {
        if self.is_listing {
            Trouble::StreamingRefused("the streaming list did not end".to_owned())
        } else {
            Trouble::Broken("the watch fell silent".to_owned())
        }
    }
}

fn watch_path(scope: &WatchScope, version: Option<&str>) -> String {
    let from = match version {
        Some(version) => format!("&resourceVersion={}", encode(version)),
        None => "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
    };
    format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}{from}{}",
        applications_path(scope.namespace.as_deref()),
        WATCH_TIMEOUT.as_secs(),
        scope.to_selector_query(),
    )
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: Box<str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct BookmarkObject {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

fn read_event(line: &[u8], is_listing: bool) -> Result<WatchEvent, Trouble> {
    let broken = |_| Trouble::Broken("a line of the watch is no event".to_owned());
    let line: Line<'_> = serde_json::from_slice(line).map_err(broken)?;
    let object = line.object.get();
    let application = || read_application(object.as_bytes()).map(Box::new);
    Ok(match &*line.r#type {
        "ADDED" | "MODIFIED" => application().map_or(WatchEvent::Skipped, WatchEvent::Applied),
        "DELETED" => application().map_or(WatchEvent::Skipped, WatchEvent::Deleted),
        "BOOKMARK" => {
            let bookmark: BookmarkObject = serde_json::from_str(object).map_err(broken)?;
            let annotations = bookmark.metadata.annotations.unwrap_or_default();
            WatchEvent::Bookmark {
                version: bookmark.metadata.resource_version,
                is_listing_end: annotations.get(LISTING_ENDS).is_some_and(|v| v == "true"),
            }
        }
        "ERROR" => {
            let status: Status = serde_json::from_str(object).unwrap_or_default();
            return Err(Trouble::from_event(&status, is_listing));
        }
        _ => WatchEvent::Skipped,
    })
}
