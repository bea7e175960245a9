//! Typed settings that several commands share (`ops.md` 2, 8).

use std::time::Duration;

use image_updater_core::duration::GoDuration;
use image_updater_core::secret::Secret;

use super::environment::Environment;
use super::error::ArgsError;
use super::value::{Origin, Values};
use crate::telemetry::{Level, LogFormat};

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// `--loglevel`.
    pub level: Level,
    /// `--logformat`.
    pub format: LogFormat,
    /// Colours on terminals, unless `ENABLE_LOG_COLORS` is false.
    pub with_colours: bool,
}

/// How the cluster is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KubernetesSettings {
    /// `--disable-kubernetes`.
    pub is_disabled: bool,
    /// `--kubeconfig`; empty means the usual places.
    pub kubeconfig: String,
    /// `--argocd-namespace`; empty means that of the client.
    pub argocd_namespace: String,
    /// `--disable-kube-events`.
    pub has_events_disabled: bool,
}

/// Where Application objects come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplicationsApi {
    /// The Kubernetes API.
    Kubernetes,
    /// The Argo CD API.
    Argocd,
}

impl ApplicationsApi {
    /// The word for settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Argocd => "argocd",
        }
    }
}

/// How the Argo CD API is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArgocdSettings {
    /// `--applications-api`.
    pub applications_api: ApplicationsApi,
    /// `--argocd-server-addr`; empty means derived, see [`Self::server_addr_in`].
    pub server_addr: String,
    /// `--argocd-grpc-web`.
    pub is_grpc_web: bool,
    /// `--argocd-insecure`.
    pub is_insecure: bool,
    /// `--argocd-plaintext`.
    pub is_plaintext: bool,
    /// `--argocd-auth-token` as given.
    pub auth_token: Secret,
    /// The token that holds: the flag's, else that of `ARGOCD_TOKEN`.
    pub effective_auth_token: Secret,
}

impl ArgocdSettings {
    /// The address of the Argo CD API, where `client_namespace` is the Kubernetes client's own
    /// (`ops.md` 13.4).
    pub fn server_addr_in(&self, cluster: &KubernetesSettings, client_namespace: &str) -> String {
        if !self.server_addr.is_empty() {
            return self.server_addr.clone();
        }
        let namespace = match (cluster.is_disabled, cluster.argocd_namespace.as_str()) {
            (false, "") if !client_namespace.is_empty() => client_namespace,
            (true, _) | (false, "") => "argocd",
            (false, namespace) => namespace,
        };
        format!("argocd-server.{namespace}")
    }
}

/// Which Applications are looked after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectionSettings {
    /// `--application-namespace`; empty means all.
    pub namespace: String,
    /// `--match-application-name`, as written.
    pub name_patterns: Vec<String>,
    /// `--match-application-label`, as written.
    pub label_selector: String,
}

/// How commits are signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningMethod {
    /// `GnuPG`.
    Openpgp,
    /// An SSH key.
    Ssh,
}

impl SigningMethod {
    /// The word for settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Openpgp => "openpgp",
            Self::Ssh => "ssh",
        }
    }
}

/// What commits look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitSettings {
    /// `--git-commit-user`.
    pub user: String,
    /// `--git-commit-email`.
    pub email: String,
    /// `--git-commit-signing-key`: a key id or a path, not the key.
    pub signing_key: String,
    /// `--git-commit-signing-method`.
    pub signing_method: SigningMethod,
    /// `--git-commit-sign-off`.
    pub has_sign_off: bool,
    /// `--git-commit-message-path`; empty means the built-in template.
    pub message_path: String,
}

/// The webhook server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookServerSettings {
    /// `--webhook-port`; 0 means off.
    pub port: u16,
    /// `--docker-webhook-secret`.
    pub docker_secret: Secret,
    /// `--ghcr-webhook-secret`.
    pub ghcr_secret: Secret,
    /// `--quay-webhook-secret`.
    pub quay_secret: Secret,
    /// `--harbor-webhook-secret`.
    pub harbor_secret: Secret,
    /// `--webhook-ratelimit-allowed`: events per hour; 0 means no limit.
    pub events_per_hour_max: u64,
}

/// Reads values as settings: the checks that one value can fail.
pub(super) struct Reader<'a> {
    pub(super) values: &'a Values,
    pub(super) environment: &'a Environment,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    pub(super) fn log(&mut self) -> Result<LogSettings, ArgsError> {
        let text = self.values.text("loglevel");
        let level = text.parse().map_err(|_| {
            let words = Level::WORDS.join(", ");
            ArgsError::Refused(format!(
                "invalid loglevel: {text} (--loglevel accepts {words})"
            ))
        })?;
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = self.word("logformat", &formats)?;
        let with_colours = self
            .environment
            .bool_or("ENABLE_LOG_COLORS", true, self.warnings);
        Ok(LogSettings {
            level,
            format,
            with_colours,
        })
    }

    pub(super) fn kubernetes(&self) -> KubernetesSettings {
        KubernetesSettings {
            is_disabled: self.values.bool("disable-kubernetes"),
            kubeconfig: self.text("kubeconfig"),
            argocd_namespace: self.text("argocd-namespace"),
            has_events_disabled: self.values.bool("disable-kube-events"),
        }
    }

    pub(super) fn argocd(&self) -> Result<ArgocdSettings, ArgsError> {
        let applications_api = match self.values.text("applications-api") {
            "kubernetes" => ApplicationsApi::Kubernetes,
            "argocd" => ApplicationsApi::Argocd,
            other => {
                return Err(ArgsError::Refused(format!(
                    "application api '{other}' is not supported \
                     (--applications-api accepts kubernetes and argocd)"
                )));
            }
        };
        let auth_token = self.secret("argocd-auth-token");
        let effective_auth_token = if auth_token.is_empty() {
            Secret::new(self.environment.text("ARGOCD_TOKEN").unwrap_or_default())
        } else {
            auth_token.clone()
        };
        Ok(ArgocdSettings {
            applications_api,
            server_addr: self.text("argocd-server-addr"),
            is_grpc_web: self.values.bool("argocd-grpc-web"),
            is_insecure: self.values.bool("argocd-insecure"),
            is_plaintext: self.values.bool("argocd-plaintext"),
            auth_token,
            effective_auth_token,
        })
    }

    pub(super) fn selection(&self) -> SelectionSettings {
        SelectionSettings {
            namespace: self.text("application-namespace"),
            name_patterns: self.values.list("match-application-name"),
            label_selector: self.text("match-application-label"),
        }
    }

    pub(super) fn commit(&self) -> Result<CommitSettings, ArgsError> {
        let methods =
            [SigningMethod::Openpgp, SigningMethod::Ssh].map(|method| (method.word(), method));
        Ok(CommitSettings {
            user: self.text("git-commit-user"),
            email: self.text("git-commit-email"),
            signing_key: self.text("git-commit-signing-key"),
            signing_method: self.word("git-commit-signing-method", &methods)?,
            has_sign_off: self.values.bool("git-commit-sign-off"),
            message_path: self.text("git-commit-message-path"),
        })
    }

    pub(super) fn webhook_server(&self) -> Result<WebhookServerSettings, ArgsError> {
        Ok(WebhookServerSettings {
            port: self.port("webhook-port")?,
            docker_secret: self.secret("docker-webhook-secret"),
            ghcr_secret: self.secret("ghcr-webhook-secret"),
            quay_secret: self.secret("quay-webhook-secret"),
            harbor_secret: self.secret("harbor-webhook-secret"),
            events_per_hour_max: u64::try_from(self.values.integer("webhook-ratelimit-allowed"))
                .map_err(|_| {
                    self.invalid(
                        "webhook-ratelimit-allowed",
                        "it cannot be negative (0=unlimited)",
                    )
                })?,
        })
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.values.text(name).to_owned()
    }

    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.values.text(name))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, ArgsError> {
        let text = self.values.text(name);
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let accepted: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                self.invalid(
                    name,
                    &format!("accepted values are {}", accepted.join(", ")),
                )
            })
    }

    pub(super) fn port(&self, name: &str) -> Result<u16, ArgsError> {
        u16::try_from(self.values.integer(name))
            .map_err(|_| self.invalid(name, "accepted values are 0 to 65535 (0=off)"))
    }

    /// A number of things, where zero says `zero`.
    pub(super) fn count(&self, name: &str, zero: &str) -> Result<u32, ArgsError> {
        u32::try_from(self.values.integer(name)).map_err(|_| {
            self.invalid(
                name,
                &format!("accepted values are 0 to {} (0={zero})", u32::MAX),
            )
        })
    }

    /// A duration that is not negative.
    pub(super) fn span(&self, name: &str) -> Result<Duration, ArgsError> {
        let duration: GoDuration = self.values.duration(name);
        duration
            .to_duration()
            .ok_or_else(|| self.invalid(name, "it cannot be negative"))
    }

    /// The refusal of the value that the flag `name` has.
    pub(super) fn invalid(&self, name: &str, reason: &str) -> ArgsError {
        let held = self.values.held(name);
        ArgsError::Invalid {
            value: held.value.to_string(),
            flag: held.flag.name,
            variable: match held.origin {
                Origin::Environment(variable) => Some(variable),
                Origin::Default | Origin::CommandLine => None,
            },
            reason: reason.to_owned(),
        }
    }
}
