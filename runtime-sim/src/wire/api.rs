//! The API server's side: answers, watches that stream, and Argo CD's sync after a patch.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::app::LabelSelector;
use image_updater_fixtures::cluster::{ApiReply, ObjectKey, reconciled};
use image_updater_fixtures::{Request, Response};
use smol::Timer;

use super::SeenPatch;
use super::connection::too_slow;
use super::message::Connection;
use super::state::{Shared, State, WatchEnd, instant, within};

/// Patches that are kept for whoever wants to see them.
const PATCHES_KEPT_MAX: usize = 1000;
/// How long a watch lasts that names no time.
const WATCH_TIME_DEFAULT: Duration = Duration::from_mins(30);

/// Keeps a patch that has arrived, and returns its number; `None` for every other request.
pub(super) fn on_arrival(state: &mut State, request: &Request) -> Option<u64> {
    let key = application_key(request).filter(|_| request.method == "PATCH")?;
    state.patches_arrived += 1;
    let patches = &mut state.world.patches;
    if patches.len() == PATCHES_KEPT_MAX {
        patches.pop_front();
    }
    patches.push_back(SeenPatch {
        number: state.patches_arrived,
        key,
        operations: serde_json::from_slice(&request.body).unwrap_or_default(),
        status: None,
    });
    Some(state.patches_arrived)
}

/// Answers one request, which is the patch with this number, if any.
pub(super) fn answer(shared: &Shared, request: &Request, patch_number: Option<u64>) -> ApiReply {
    let reply = {
        let state = &mut *shared.lock();
        let reply = state.world.cluster.api(request);
        if let (ApiReply::Whole(response), Some(number)) = (&reply, patch_number) {
            on_patch_answered(state, number, request, response.status);
        }
        reply
    };
    shared.on_changed();
    reply
}

/// Notes how a patch was answered; one that was applied is synced later.
fn on_patch_answered(state: &mut State, number: u64, request: &Request, status: u16) {
    let mut newest_first = state.world.patches.iter_mut().rev();
    if let Some(patch) = newest_first.find(|patch| patch.number == number) {
        patch.status = Some(status);
    }
    if let (200, Some(delay), Some(key)) =
        (status, state.world.sync_delay, application_key(request))
    {
        state.syncs.entry(key).or_insert_with(|| instant() + delay);
    }
}

/// `timeoutSeconds` of a watch.
pub(super) fn watch_time_max(request: &Request) -> Duration {
    let asked = request
        .query("timeoutSeconds")
        .and_then(|secs| secs.parse().ok());
    asked.map_or(WATCH_TIME_DEFAULT, |secs: u32| {
        Duration::from_secs(secs.into())
    })
}

/// Syncs patched Applications when their time has come, for ever.
pub(super) async fn sync(shared: &Shared) {
    loop {
        let (key, due) = shared
            .until(|state| {
                let next = state.syncs.iter().min_by_key(|(_, due)| **due);
                next.map(|(key, due)| (key.clone(), *due))
            })
            .await;
        // Later patches are due later: none can overtake this one but by an edit of the delay.
        Timer::at(due).await;
        {
            let state = &mut *shared.lock();
            state.syncs.remove(&key);
            let (namespace, name) = &key;
            state
                .world
                .cluster
                .edit(namespace, name, |object| *object = reconciled(object));
        }
        shared.on_changed();
    }
}

/// One watch.
pub(super) struct Watch {
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) version: u64,
    pub(super) namespace: Option<String>,
    pub(super) selector: LabelSelector,
    pub(super) time_max: Duration,
    pub(super) patience: Duration,
}

/// Why a watch has nothing more to wait for.
enum Next {
    Lines(Vec<Vec<u8>>, Option<u64>),
    Ended(WatchEnd),
    TimeOver,
    Closed,
}

impl Watch {
    /// Streams until somebody ends it; true when the connection can carry another request.
    pub(super) async fn serve(
        mut self,
        shared: &Arc<Shared>,
        connection: &mut Connection,
    ) -> io::Result<bool> {
        let ended_before = shared.lock().watches_ended.0;
        let end_at = instant().checked_add(self.time_max);
        let head = Response {
            status: 200,
            ..Response::default()
        }
        .with_header("content-type", "application/json");
        let begun = connection.begin_chunks(&head);
        within(self.patience, begun)
            .await
            .unwrap_or_else(too_slow)?;
        let mut lines = std::mem::take(&mut self.lines);
        loop {
            let given = connection.give_chunk(&lines);
            within(self.patience, given)
                .await
                .unwrap_or_else(too_slow)?;
            let changed = shared.until(|state| {
                let (n_ended, end) = state.watches_ended;
                if n_ended != ended_before {
                    return Some(Next::Ended(end));
                }
                let cluster = &state.world.cluster;
                if cluster.version() == self.version {
                    return None;
                }
                let (lines, reached) =
                    cluster.watch_lines(self.version, self.namespace.as_deref(), &self.selector);
                if lines.is_empty()
                    && let Some(reached) = reached
                {
                    self.version = reached;
                    return None;
                }
                Some(Next::Lines(lines, reached))
            });
            let over = async {
                match end_at {
                    Some(at) => Timer::at(at).await,
                    None => std::future::pending().await,
                };
                Next::TimeOver
            };
            let closed = async {
                connection.closed().await;
                Next::Closed
            };
            let next = smol::future::or(changed, smol::future::or(over, closed)).await;
            match next {
                Next::Lines(more, Some(reached)) => {
                    self.version = reached;
                    lines = more;
                }
                Next::Lines(last, None) => {
                    let given = connection.give_chunk(&last);
                    within(self.patience, given)
                        .await
                        .unwrap_or_else(too_slow)?;
                    connection.end_chunks().await?;
                    return Ok(true);
                }
                Next::Ended(WatchEnd::Whole) | Next::TimeOver => {
                    connection.end_chunks().await?;
                    return Ok(true);
                }
                Next::Ended(WatchEnd::Broken) | Next::Closed => return Ok(false),
            }
        }
    }
}

/// The Application that the path names.
fn application_key(request: &Request) -> Option<ObjectKey> {
    let rest = request
        .path()
        .strip_prefix("/apis/argoproj.io/v1alpha1/namespaces/")?;
    let (namespace, name) = rest.split_once("/applications/")?;
    Some((namespace.to_owned(), name.to_owned()))
}
