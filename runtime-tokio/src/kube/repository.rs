//! Whole Secrets that hold logins to Git repositories: read on demand, never kept (`writeback.md` 11).

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::repo::record::Record;
use image_updater_core::repo::secret::Fields;
use image_updater_core::secret::Secret;
use k8s_openapi::ByteString;
use serde::Deserialize;

use super::api::{ClusterClient, Reply, describe_denial, encode};
use super::secret::{SECRET_BYTES_MAX, is_object_name};

/// The label by which Argo CD finds its Secrets, and its values for repositories and for templates.
const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
const REPOSITORY: &str = "repository";
const TEMPLATE: &str = "repo-creds";
/// Secrets per page of a listing.
const PAGE_SECRETS_MAX: usize = 250;
/// Longest listing: so many repositories fit in, whatever they hold.
const LISTING_BYTES_MAX: usize = 64 << 20;
/// For one page, and for one Secret.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What Argo CD knows of repositories.
#[derive(Debug, Default)]
pub struct Repositories {
    /// Repositories, in the order of the names of their Secrets.
    pub repositories: Vec<Record>,
    /// Templates of credentials, in the same order.
    pub templates: Vec<Record>,
}

/// Why Secrets were not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretFailure {
    /// It is not there, or cannot be.
    #[error("{0}")]
    Missing(String),
    /// We may not read it.
    #[error("{0}")]
    Denied(String),
    /// Asking again may help.
    #[error("{0}")]
    Failed(String),
}

impl ClusterClient {
    /// Reads the repositories and credential templates of the Argo CD in `namespace`.
    ///
    /// # Errors
    /// When one page of the listing cannot be read: a part of it could choose a wrong login.
    pub async fn read_repositories(&self, namespace: &str) -> Result<Repositories, SecretFailure> {
        let place = format!("cannot list the repository secrets of Argo CD in {namespace}");
        let selector = encode(&format!("{SECRET_TYPE} in ({REPOSITORY},{TEMPLATE})"));
        let path = format!("/api/v1/namespaces/{}/secrets", encode(namespace));
        let mut found = Repositories::default();
        let mut token = String::new();
        let mut n_left = LISTING_BYTES_MAX;
        loop {
            let mut page = format!("{path}?labelSelector={selector}&limit={PAGE_SECRETS_MAX}");
            if !token.is_empty() {
                page.push_str("&continue=");
                page.push_str(&encode(&token));
            }
            let reply = self.read(&page, n_left, TIMEOUT).await;
            let reply = reply.map_err(|failure| {
                SecretFailure::Failed(format!("{place}: {}", failure.into_text()))
            })?;
            if reply.status != 200 {
                return Err(refused(&reply, &place, "list", namespace));
            }
            n_left -= reply.body.len();
            // The parser's message could quote the content.
            let page: Page = serde_json::from_slice(&reply.body)
                .map_err(|_| SecretFailure::Failed(format!("{place}: the reply is no list")))?;
            for item in page.items.unwrap_or_default() {
                let labels = item.metadata.labels.unwrap_or_default();
                let fields = to_fields(item.data.unwrap_or_default());
                match labels.get(SECRET_TYPE).map(String::as_str) {
                    Some(REPOSITORY) => found.repositories.push(Record::new(fields)),
                    Some(TEMPLATE) => found.templates.push(Record::new(fields)),
                    Some(_) | None => {}
                }
            }
            match page.metadata.r#continue.filter(|next| !next.is_empty()) {
                None => return Ok(found),
                // A server that repeats itself would be listed for ever.
                Some(next) if next == token => {
                    let text = format!("{place}: the listing goes in circles");
                    return Err(SecretFailure::Failed(text));
                }
                Some(next) => token = next,
            }
        }
    }

    /// Reads all fields of the Secret `name` in `namespace`.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn read_fields(&self, namespace: &str, name: &str) -> Result<Fields, SecretFailure> {
        // These come from annotations of users, and an object's name cannot lead elsewhere.
        if !is_object_name(namespace) || !is_object_name(name) {
            let text = format!("{namespace:?}/{name:?} cannot be the name of a secret");
            return Err(SecretFailure::Missing(text));
        }
        let place = format!("cannot read secret {namespace}/{name}");
        let path = format!(
            "/api/v1/namespaces/{}/secrets/{}",
            encode(namespace),
            encode(name)
        );
        let reply = self.read(&path, SECRET_BYTES_MAX, TIMEOUT).await;
        let reply = reply.map_err(|failure| {
            SecretFailure::Failed(format!("{place}: {}", failure.into_text()))
        })?;
        match reply.status {
            200 => {
                let object: Object = serde_json::from_slice(&reply.body)
                    .map_err(|_| SecretFailure::Failed(format!("{place}: it is not understood")))?;
                Ok(to_fields(object.data.unwrap_or_default()))
            }
            404 => {
                let text = format!("secret {namespace}/{name} does not exist");
                Err(SecretFailure::Missing(text))
            }
            _ => Err(refused(&reply, &place, "get", namespace)),
        }
    }
}

fn refused(reply: &Reply, place: &str, verb: &str, namespace: &str) -> SecretFailure {
    match reply.status {
        401 | 403 => {
            let denial = describe_denial(reply.status, verb, "secrets", Some(namespace));
            SecretFailure::Denied(format!("{place}: {denial}"))
        }
        _ => SecretFailure::Failed(format!("{place}: {}", reply.message())),
    }
}

/// The fields that are text; no login is anything else.
fn to_fields(data: BTreeMap<String, ByteString>) -> Fields {
    let fields = data.into_iter().filter_map(|(name, ByteString(content))| {
        let text = String::from_utf8(content).ok()?;
        Some((name.into(), Secret::new(text)))
    });
    fields.collect()
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<Object>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    r#continue: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: ObjectMetadata,
    data: Option<BTreeMap<String, ByteString>>,
}

#[derive(Default, Deserialize)]
struct ObjectMetadata {
    labels: Option<BTreeMap<String, String>>,
}
