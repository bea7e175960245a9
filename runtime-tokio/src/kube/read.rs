//! Reading one Application.

use std::time::Duration;

use image_updater_core::id::AppKey;
use image_updater_core::input::ReadOutcome;

use super::api::{
    APPLICATIONS, CallFailure, ClusterClient, Reply, application_path, describe_denial,
};
use super::object::read_application;

/// Longest object that is read; etcd holds less.
pub(super) const OBJECT_BYTES_MAX: usize = 16 * 1024 * 1024;

impl ClusterClient {
    /// Reads the Application `key` as it is now.
    pub async fn read_application(&self, key: &AppKey, timeout: Duration) -> ReadOutcome {
        let reply = self
            .read(&application_path(key), OBJECT_BYTES_MAX, timeout)
            .await;
        to_outcome(reply, key)
    }
}

fn to_outcome(reply: Result<Reply, CallFailure>, key: &AppKey) -> ReadOutcome {
    let reply = match reply {
        Ok(reply) => reply,
        Err(failure) => return ReadOutcome::Transient(failure.into_text()),
    };
    match reply.status {
        200 => match read_application(&reply.body) {
            Some(app) => ReadOutcome::Found(Box::new(app)),
            None => ReadOutcome::Transient("the reply holds no application".to_owned()),
        },
        404 => ReadOutcome::Missing,
        401 | 403 => ReadOutcome::Denied(describe_denial(
            reply.status,
            "get",
            APPLICATIONS,
            Some(&key.namespace),
        )),
        429 => ReadOutcome::Throttled(reply.retry_after()),
        503 if reply.retry_after().is_some() => ReadOutcome::Throttled(reply.retry_after()),
        _ => ReadOutcome::Transient(reply.message()),
    }
}
