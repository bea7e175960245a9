//! Effects: work that a driver must start. Each carries an [`OpId`] and is answered by exactly one
//! completion input with that id, also after a cancel.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::credential::CredentialSource;
use crate::http::HttpRequest;
use crate::id::{AppKey, OpId};
use crate::publish::GitJob;

/// Work to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Perform one exchange; answered by [`crate::input::Input::Http`].
    Http(OpId, HttpRequest),
    /// Read a credential; answered by [`crate::input::Input::Credential`].
    ReadCredential(OpId, CredentialSource),
    /// Talk to the Kubernetes API.
    Cluster(OpId, ClusterEffect),
    /// Make one attempt with a Git repository, by running a session with the edits of [`crate::publish::Work`]; answered by
    /// [`crate::input::Input::Git`].
    Git(OpId, Box<GitJob>),
    /// Give up the operation if it still runs. It is answered all the same, exactly once.
    Cancel(OpId),
}

/// Work with the Kubernetes API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterEffect {
    /// Apply a JSON Patch (RFC 6902) to one Application; answered by
    /// [`crate::input::ClusterInput::Patched`].
    Patch(Box<ApplicationPatch>),
    /// Read one Application; answered by [`crate::input::ClusterInput::Read`].
    Read {
        /// Which one.
        key: AppKey,
        /// How long to try.
        timeout: Duration,
    },
}

/// A patch of one Application: only the touched members, guarded by the resource version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplicationPatch {
    /// Which Application.
    pub key: AppKey,
    /// The version that the operations were computed on. The driver sends it as the operation
    /// `replace /metadata/resourceVersion`, so that the server answers 409 when it is stale.
    pub resource_version: Box<str>,
    /// What to change, in order.
    pub operations: Vec<PatchOperation>,
    /// How long to try.
    pub timeout: Duration,
}

/// One operation of a JSON Patch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatchOperation {
    /// `add` or `replace`.
    pub verb: PatchVerb,
    /// JSON pointer (RFC 6901).
    pub path: String,
    /// The new value.
    pub value: serde_json::Value,
}

/// The verbs of [`PatchOperation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchVerb {
    /// Adds a member or inserts an element.
    Add,
    /// Replaces what is there.
    Replace,
}

impl PatchVerb {
    /// The verb on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }
}

impl ApplicationPatch {
    /// The patch document as the API server takes it
    /// (`Content-Type: application/json-patch+json`), with the guard in front.
    pub fn to_json(&self) -> serde_json::Value {
        let guard = serde_json::json!({
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": &*self.resource_version,
        });
        let operations = self.operations.iter().map(|operation| {
            serde_json::json!({
                "op": operation.verb.as_str(),
                "path": operation.path,
                "value": operation.value,
            })
        });
        core::iter::once(guard).chain(operations).collect()
    }
}
