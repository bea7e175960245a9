//! Reading one field of a Secret: a plain GET, on demand, never kept (`ops.md` 19.1).

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::secret::Secret;
use k8s_openapi::ByteString;
use serde::Deserialize;

use super::api::{ClusterClient, Reply, describe_denial, encode};

/// Longest Secret that is read; Kubernetes allows 1 MiB of data, which base64 makes longer.
pub(super) const SECRET_BYTES_MAX: usize = 4 * 1024 * 1024;

impl ClusterClient {
    /// Reads `field` of the Secret `name` in `namespace`.
    pub async fn read_secret(
        &self,
        namespace: &str,
        name: &str,
        field: &str,
        timeout: Duration,
    ) -> CredentialOutcome {
        // These come from annotations of users, and an object's name cannot lead elsewhere.
        if !is_object_name(namespace) || !is_object_name(name) {
            return CredentialOutcome::Missing(format!(
                "{namespace:?}/{name:?} cannot be the name of a secret"
            ));
        }
        let path = format!(
            "/api/v1/namespaces/{}/secrets/{}",
            encode(namespace),
            encode(name)
        );
        match self.read(&path, SECRET_BYTES_MAX, timeout).await {
            Ok(reply) => to_outcome(&reply, namespace, name, field),
            Err(failure) => CredentialOutcome::Failed(format!(
                "cannot read secret {namespace}/{name}: {}",
                failure.into_text()
            )),
        }
    }
}

fn to_outcome(reply: &Reply, namespace: &str, name: &str, field: &str) -> CredentialOutcome {
    match reply.status {
        200 => read_field(&reply.body, namespace, name, field),
        404 => CredentialOutcome::Missing(format!("secret {namespace}/{name} does not exist")),
        401 | 403 => CredentialOutcome::Denied(format!(
            "cannot read secret {namespace}/{name}: {}",
            describe_denial(reply.status, "get", "secrets", Some(namespace))
        )),
        _ => CredentialOutcome::Failed(format!(
            "cannot read secret {namespace}/{name}: {}",
            reply.message()
        )),
    }
}

fn read_field(body: &[u8], namespace: &str, name: &str, field: &str) -> CredentialOutcome {
    // The parser's message could quote the content.
    let Ok(SecretObject { data }) = serde_json::from_slice(body) else {
        return CredentialOutcome::Failed(format!(
            "secret {namespace}/{name} cannot be understood"
        ));
    };
    let Some(ByteString(content)) = data.unwrap_or_default().remove(field) else {
        return CredentialOutcome::Missing(format!(
            "secret {namespace}/{name} has no field {field:?}"
        ));
    };
    match String::from_utf8(content) {
        Ok(text) => CredentialOutcome::Found(Secret::new(text)),
        Err(_) => CredentialOutcome::Failed(format!(
            "field {field:?} of secret {namespace}/{name} is no text"
        )),
    }
}

#[derive(Deserialize)]
struct SecretObject {
    data: Option<BTreeMap<String, ByteString>>,
}

/// A DNS subdomain, as object names are.
pub(super) fn is_object_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        && text
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_lead_nowhere_else() {
        for name in ["a", "regcred", "my-secret.v2", "0"] {
            assert!(is_object_name(name), "{name}");
        }
        for name in [
            "", ".", "..", "a/b", "a..b", "-a", "a-", "A", "a?b", "é", "a%2fb",
        ] {
            assert!(!is_object_name(name), "{name}");
        }
    }
}
