//! The settings of `webhook` (`ops.md` 8).

use std::time::Duration;

use super::error::ArgsError;
use super::settings::{
    ArgocdSettings, CommitSettings, KubernetesSettings, LogSettings, Reader, SelectionSettings,
    WebhookServerSettings,
};

/// Everything that `webhook` is told, validated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookSettings {
    /// What is logged.
    pub log: LogSettings,
    /// The cluster.
    pub kubernetes: KubernetesSettings,
    /// The Argo CD API.
    pub argocd: ArgocdSettings,
    /// Which Applications.
    pub selection: SelectionSettings,
    /// Commits.
    pub commit: CommitSettings,
    /// The server.
    pub webhook: WebhookServerSettings,
    /// `--dry-run`.
    pub is_dry_run: bool,
    /// `--metrics-port`; 0 means off.
    pub metrics_port: u16,
    /// `--registries-conf-path`; empty means the built-in registries.
    pub registries_conf_path: String,
    /// `--max-concurrency`, at least 1.
    pub max_concurrency: u32,
    /// `--shutdown-timeout`.
    pub shutdown_timeout: Duration,
}

impl WebhookSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ArgsError> {
        let log = reader.log()?;
        let max_concurrency = reader.values.integer("max-concurrency");
        if max_concurrency < 1 {
            return Err(ArgsError::Refused(format!(
                "--max-concurrency must be greater than 1 or equal to it, not {max_concurrency}"
            )));
        }
        Ok(Self {
            log,
            kubernetes: reader.kubernetes(),
            argocd: reader.argocd()?,
            selection: reader.selection(),
            commit: reader.commit()?,
            webhook: reader.webhook_server()?,
            is_dry_run: reader.values.bool("dry-run"),
            metrics_port: reader.port("metrics-port")?,
            registries_conf_path: reader.text("registries-conf-path"),
            max_concurrency: reader.count("max-concurrency", "refused")?,
            shutdown_timeout: reader.span("shutdown-timeout")?,
        })
    }
}
