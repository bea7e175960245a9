//! Patching one Application.
//!
//! Anything after which the patch may have been applied is unknown: a lost reply, and every 5xx
//! that is not the server's own request to wait, since a proxy between us and the server answers
//! with 502, 503 and 504 also for requests that it passed on.
//!
//! The server applies the operations before it compares versions: where somebody else has removed
//! what an operation builds upon, the answer is 422 and not 409. Such an answer is taken for a
//! conflict when the object has another version by now.

use http::Method;
use image_updater_core::effect::ApplicationPatch;
use image_updater_core::input::{PatchOutcome, ReadOutcome};
use kube::client::Body;

use super::api::{
    APPLICATIONS, CallFailure, ClusterClient, Reply, application_path, describe_denial, request,
};
use super::object::read_application;
use super::read::OBJECT_BYTES_MAX;
use crate::clock::stopwatch;

/// Under which name our changes stand in `metadata.managedFields`.
const FIELD_MANAGER: &str = "argocd-image-updater";

impl ClusterClient {
    /// Applies `patch` once.
    pub async fn patch_application(&self, patch: &ApplicationPatch) -> PatchOutcome {
        let begun = stopwatch();
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}",
            application_path(&patch.key)
        );
        let body = patch.to_json().to_string().into_bytes();
        let mut request = request(Method::PATCH, &path, Body::from(body));
        request.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json-patch+json"),
        );
        let reply = self.call(request, OBJECT_BYTES_MAX, patch.timeout).await;
        let is_unprocessable = reply.as_ref().is_ok_and(|reply| reply.status == 422);
        let outcome = to_outcome(reply, &patch.key.namespace);
        if !is_unprocessable {
            return outcome;
        }
        let left = patch.timeout.saturating_sub(begun.elapsed());
        match self.read_application(&patch.key, left).await {
            ReadOutcome::Found(app) if app.resource_version != patch.resource_version => {
                PatchOutcome::Conflict
            }
            ReadOutcome::Missing => PatchOutcome::Missing,
            ReadOutcome::Found(_)
            | ReadOutcome::Denied(_)
            | ReadOutcome::Throttled(_)
            | ReadOutcome::Transient(_) => outcome,
        }
    }
}

fn to_outcome(reply: Result<Reply, CallFailure>, namespace: &str) -> PatchOutcome {
    let reply = match reply {
        Ok(reply) => reply,
        Err(CallFailure::BeforeSending(text)) => return PatchOutcome::Transient(text),
        Err(CallFailure::Lost(text)) => return PatchOutcome::Unknown(text),
    };
    match reply.status {
        200 | 201 => match read_application(&reply.body) {
            Some(app) => PatchOutcome::Done(Box::new(app)),
            None => PatchOutcome::Unknown("the reply holds no application".to_owned()),
        },
        409 => PatchOutcome::Conflict,
        404 => PatchOutcome::Missing,
        401 | 403 => PatchOutcome::Denied(describe_denial(
            reply.status,
            "patch",
            APPLICATIONS,
            Some(namespace),
        )),
        429 => PatchOutcome::Throttled(reply.retry_after()),
        503 if reply.retry_after().is_some() => PatchOutcome::Throttled(reply.retry_after()),
        400..=499 => PatchOutcome::Rejected(reply.message()),
        _ => PatchOutcome::Unknown(reply.message()),
    }
}
