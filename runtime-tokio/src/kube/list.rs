//! A listing of all Applications, page by page.
//!
//! A listing that fails anywhere is not ended: the core deletes nothing for it.

use std::time::Duration;

use image_updater_core::input::{ClusterInput, Input};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::api::{ClusterClient, applications_path, encode};
use super::object::read_application;
use super::trouble::{Request, Trouble};
use super::watch::WatchScope;

/// Objects per page: larger ones cost memory (a hundred objects are about a megabyte).
const PAGE_OBJECTS_MAX: usize = 100;
/// Longest page that is read.
const PAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest time for one page.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: Option<String>,
    r#continue: Option<String>,
}

/// Lists everything in `scope` into `inputs` and returns the resource version to watch from.
pub(super) async fn list_applications(
    cluster: &ClusterClient,
    scope: &WatchScope,
    inputs: &mpsc::Sender<Input>,
) -> Result<String, Trouble> {
    let mut token = String::new();
    let mut is_first = true;
    loop {
        let path = page_path(scope, &token);
        let reply = cluster.read(&path, PAGE_BYTES_MAX, PAGE_TIMEOUT).await?;
        if reply.status != 200 {
            let namespace = scope.namespace.as_deref();
            return Err(Trouble::from_reply(&reply, Request::List, namespace));
        }
        let page: Page<'_> = serde_json::from_slice(&reply.body)
            .map_err(|_| Trouble::Broken("a page of the listing is no list".to_owned()))?;
        if is_first {
            give(inputs, ClusterInput::ResetBegun).await?;
            is_first = false;
        }
        for item in page.items.unwrap_or_default() {
            if let Some(app) = read_application(item.get().as_bytes()) {
                give(inputs, ClusterInput::Applied(Box::new(app))).await?;
            }
        }
        match page.metadata.r#continue {
            Some(next) if !next.is_empty() && next != token => token = next,
            // A server that repeats itself would be listed for ever.
            Some(next) if !next.is_empty() => {
                return Err(Trouble::Broken("the listing goes in circles".to_owned()));
            }
            _ => {
                let Some(version) = page.metadata.resource_version.filter(|v| !v.is_empty()) else {
                    return Err(Trouble::Broken("the listing has no version".to_owned()));
                };
                give(inputs, ClusterInput::ResetDone).await?;
                return Ok(version);
            }
        }
    }
}

fn page_path(scope: &WatchScope, token: &str) -> String {
    let path = applications_path(scope.namespace.as_deref());
    let selector = scope.to_selector_query();
    let continued = if token.is_empty() {
        String::new()
    } else {
        format!("&continue={}", encode(token))
    };
    format!("{path}?limit={PAGE_OBJECTS_MAX}{selector}{continued}")
}

/// Hands one fact to the core.
pub(super) async fn give(inputs: &mpsc::Sender<Input>, input: ClusterInput) -> Result<(), Trouble> {
    inputs
        .send(Input::Cluster(input))
        .await
        .map_err(|_| Trouble::Closed)
}
