//! Where the API server is and who we are there (`ops.md` 19.1).
//!
//! In order: `--kubeconfig`, `KUBECONFIG`, `~/.kube/config` where it exists, the service account of
//! the pod. A named file that cannot be used is an error and never a reason to look further.

use std::path::Path;

use kube::config::{
    ExecInteractiveMode, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};
use kube::{Client, Config};

use super::api::ClusterClient;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig cannot be read or used.
    #[error("cannot use {origin}: {source}")]
    Kubeconfig {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// There is no kubeconfig, and this is no pod with a service account.
    #[error("no kubeconfig found, and not inside a cluster: {0}")]
    InCluster(#[source] InClusterError),
    /// The settings were read, but no client can be made with them.
    #[error("cannot set up the Kubernetes client: {0}")]
    Client(#[source] kube::Error),
}

impl ClusterClient {
    /// A client by the rules above. Nothing is asked of the API server yet.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let mut config = load(kubeconfig).await?;
        config.default_retry = false;
        if let Some(program) = &mut config.auth_info.exec {
            // A program that asks on the terminal would hang a service for ever.
            program.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        let client = Client::try_from(config).map_err(ClusterError::Client)?;
        Ok(Self::new(client))
    }
}

async fn load(path: Option<&Path>) -> Result<Config, ClusterError> {
    let (origin, read) = match path {
        Some(path) => (
            path.display().to_string(),
            Kubeconfig::read_from(path).map(Some),
        ),
        None => match Kubeconfig::from_env() {
            Ok(None) => match home_kubeconfig() {
                Some(path) => (
                    path.display().to_string(),
                    Kubeconfig::read_from(path).map(Some),
                ),
                None => (String::new(), Ok(None)),
            },
            named => ("KUBECONFIG".to_owned(), named),
        },
    };
    let failed = |source| ClusterError::Kubeconfig {
        origin: origin.clone(),
        source,
    };
    match read.map_err(failed)? {
        Some(kubeconfig) => {
            let mut clusters = kubeconfig.clusters.iter();
            let names_proxy = clusters.any(|named| {
                let cluster = named.cluster.as_ref();
                cluster.is_some_and(|cluster| cluster.proxy_url.is_some())
            });
            let options = KubeConfigOptions::default();
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(failed)?;
            if !names_proxy {
                // The library takes `HTTPS_PROXY` for every API server, also on loopback and over http, and
                // then cannot use it. That variable is for registries.
                config.proxy_url = None;
            }
            Ok(config)
        }
        None => Config::incluster().map_err(ClusterError::InCluster),
    }
}

fn home_kubeconfig() -> Option<std::path::PathBuf> {
    std::env::home_dir()
        .map(|home| home.join(".kube").join("config"))
        .filter(|path| path.is_file())
}
