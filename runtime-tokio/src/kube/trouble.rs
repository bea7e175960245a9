//! Why a listing or a watch ended early, in the classes that the watch loop acts on.

use std::time::Duration;

use super::api::{APPLICATIONS, CallFailure, Reply, Status, describe_denial};

/// Why it ended.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The verb `watch` is not granted: poll.
    WatchForbidden(String),
    /// The server does not do streaming lists (or not now): list by pages.
    StreamingRefused(String),
    /// The resource version is too old (410): list anew.
    Expired,
    /// The server asks to wait.
    Throttled(Option<Duration>),
    /// The server was reached and the stream or listing was broken off, or refused.
    Broken(String),
    /// The server was not reached.
    Unreachable(String),
    /// Nobody takes the inputs any more: the process ends.
    Closed,
}

/// Which request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// A page of a list.
    List,
    /// A watch from a resource version.
    Watch,
    /// A watch that starts with a streaming list.
    StreamingList,
}

impl Trouble {
    /// The trouble that a reply other than 200 stands for.
    pub(super) fn from_reply(reply: &Reply, request: Request, namespace: Option<&str>) -> Self {
        match reply.status {
            410 => Self::Expired,
            429 => Self::Throttled(reply.retry_after()),
            503 if reply.retry_after().is_some() => Self::Throttled(reply.retry_after()),
            401 => Self::Broken(describe_denial(401, "list", APPLICATIONS, namespace)),
            403 if request == Request::List => {
                Self::Broken(describe_denial(403, "list", APPLICATIONS, namespace))
            }
            403 => Self::WatchForbidden(describe_denial(403, "watch", APPLICATIONS, namespace)),
            400 | 422 if request == Request::StreamingList => {
                Self::StreamingRefused(reply.message())
            }
            404 => Self::Broken(format!(
                "the API server knows no {APPLICATIONS}: is Argo CD installed there?"
            )),
            _ => Self::Broken(reply.message()),
        }
    }

    /// The trouble that an ERROR event stands for; `is_listing` while a streaming list has not
    /// ended, which a server on an old etcd refuses in this way.
    pub(super) fn from_event(status: &Status, is_listing: bool) -> Self {
        let message = format!("error {} in the watch: {}", status.code, status.message());
        match status.code {
            410 => Self::Expired,
            429 | 503 => Self::Throttled(status.retry_after()),
            _ if is_listing => Self::StreamingRefused(message),
            _ => Self::Broken(message),
        }
    }

    /// How long the server asks to wait.
    pub(super) fn asked(&self) -> Option<Duration> {
        match self {
            Self::Throttled(asked) => *asked,
            Self::WatchForbidden(_)
            | Self::StreamingRefused(_)
            | Self::Expired
            | Self::Broken(_)
            | Self::Unreachable(_)
            | Self::Closed => None,
        }
    }
}

impl From<CallFailure> for Trouble {
    fn from(failure: CallFailure) -> Self {
        Self::Unreachable(failure.into_text())
    }
}
