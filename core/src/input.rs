//! Inputs: facts that happened outside, with their data, nested by group.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::app::Application;
use crate::credential::CredentialOutcome;
use crate::http::HttpOutcome;
use crate::id::{AppKey, OpId};
use crate::publish::GitOutcome;
use crate::registry::EndpointSettings;

/// A fact from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Something happened in, or with, the cluster.
    Cluster(ClusterInput),
    /// Answers [`crate::effect::Effect::Http`].
    Http(OpId, HttpOutcome),
    /// Answers [`crate::effect::Effect::ReadCredential`].
    Credential(OpId, CredentialOutcome),
    /// Answers [`crate::effect::Effect::Git`].
    Git(OpId, Box<GitOutcome>),
    /// Settings changed while the process runs.
    Settings(SettingsInput),
    /// The life of the process.
    Process(ProcessInput),
}

/// Facts from the Kubernetes API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterInput {
    /// The watch starts to list everything anew. Until [`ClusterInput::ResetDone`] nothing is deleted;
    /// a second one before that starts over.
    ResetBegun,
    /// The listing begun by [`ClusterInput::ResetBegun`] was complete: what it did not name is gone.
    ResetDone,
    /// An Application exists in this form: from a listing, a watch or a read.
    Applied(Box<Application>),
    /// An Application is gone.
    Deleted(AppKey),
    /// Answers [`crate::effect::ClusterEffect::Patch`].
    Patched(OpId, PatchOutcome),
    /// Answers [`crate::effect::ClusterEffect::Read`].
    Read(OpId, ReadOutcome),
}

/// How a patch ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatchOutcome {
    /// Applied; the object as it is now.
    Done(Box<Application>),
    /// The object has another resource version by now (HTTP 409): nothing was written.
    Conflict,
    /// The object is gone (404).
    Missing,
    /// We may not do this (401, 403); the text says which verb to grant.
    Denied(String),
    /// The server refuses the content (400, 422): repeating it is pointless.
    Rejected(String),
    /// The server asks to wait (429, or 503 with a time).
    Throttled(Option<Duration>),
    /// Nothing was written, for a reason that may pass (connection refused, 5xx before sending).
    Transient(String),
    /// The reply was lost: the patch may or may not have been applied.
    Unknown(String),
}

/// How a read of one Application ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadOutcome {
    /// The object as it is now.
    Found(Box<Application>),
    /// There is none (404).
    Missing,
    /// We may not do this (401, 403); the text says which verb to grant.
    Denied(String),
    /// The server asks to wait (429, or 503 with a time).
    Throttled(Option<Duration>),
    /// It failed for a reason that may pass.
    Transient(String),
}

/// Settings that may change while the process runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingsInput {
    /// These are all configured registries from now on (`registry.md` 2). Where they cannot be worked with,
    /// the old ones stay, and [`crate::event::Event::RegistriesRefused`] says why.
    Registries(Vec<EndpointSettings>),
}

/// Facts about the process itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProcessInput {
    /// Stop: start nothing new, finish what is under way within the grace period.
    Shutdown,
}
