//! Vectors of the room `writeback`, and of the command that shows a template.

use std::collections::BTreeMap;

use image_updater_core::app::{Application, GitCredentials, WriteBackMethod};
use image_updater_core::id::AppKey;
use image_updater_core::image::{Image, Tag};
use image_updater_core::repo::credential::{CredentialKind, GitCredential};
use image_updater_core::repo::record::Record;
use image_updater_core::repo::secret::{Fields, SecretReference};
use image_updater_core::repo::url;
use image_updater_core::secret::Secret;
use image_updater_core::update::Change;
use image_updater_core::writeback::branch;
use image_updater_core::writeback::configuration::{WriteBack, base_revision};
use image_updater_core::writeback::message::{self, MessageTemplate};
use image_updater_core::writeback::target::{RepoPath, Target, TargetKind, override_path};
use image_updater_tokio::args::{Environment, GitVariables, Invocation, parse, write_retries_max};
use image_updater_tokio::template;
use serde_json::{Map, Value, json};

use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    match (file, group) {
        ("writeback", "write_back_config_parse") => Some(write_back_config_parse),
        ("writeback", "target_path_resolution") => Some(target_path_resolution),
        ("writeback", "branch_template") => Some(branch_template),
        ("writeback", "commit_message") => Some(commit_message),
        ("writeback", "git_credentials_selection") => Some(git_credentials_selection),
        ("writeback", "repo_url_normalisation") => Some(repo_url_normalisation),
        ("writeback", "base_revision_selection") => Some(base_revision_selection),
        ("writeback", "settings_from_environment") => Some(settings_from_environment),
        ("ops", "template_command") => Some(template_command),
        _ => None,
    }
}

fn write_back_config_parse(case: &Case<'_>) -> Verdict {
    let described = &case.input["application"];
    let app = application(described);
    let namespace = text(&case.input["controller_namespace"]);
    let default = || {
        let path = app.selected_source().map(|selected| &*selected.source.path);
        override_path(&app.key, namespace, path.unwrap_or(""))
    };
    let got = match WriteBack::of(&app, namespace) {
        Err(error) => return of_error(case, &error),
        Ok(WriteBack::Argocd) => json!({
            "method": "argocd", "target": default(), "kustomize_base": "", "git_repository": "",
            "git_branch": "", "git_write_branch": "", "credentials": null,
        }),
        Ok(WriteBack::Git(git)) => {
            let (target, base) = match git.target.kind {
                TargetKind::Override | TargetKind::HelmValues => {
                    (git.target.written.to_string(), String::new())
                }
                TargetKind::Kustomization => (default(), git.target.path.to_string()),
            };
            let credentials = match git.credentials {
                GitCredentials::Repository => "repocreds".to_owned(),
                GitCredentials::Secret(reference) => format!("secret:{reference}"),
            };
            json!({
                "method": "git", "target": target, "kustomize_base": base,
                "git_repository": git.repository, "git_branch": git.branch.base,
                "git_write_branch": git.branch.write, "credentials": credentials,
            })
        }
    };
    Verdict::of(case, &got)
}

fn target_path_resolution(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let source_path = text(&input["source_path"]);
    let key = AppKey::new(text(&input["namespace"]), text(&input["name"]));
    let got = match text(&input["kind"]) {
        "default" => {
            let namespace = text(&input["controller_namespace"]);
            json!({"path": override_path(&key, namespace, source_path)})
        }
        "worktree" => match RepoPath::parse(text(&input["target"])) {
            Ok(path) => json!({"inside": true, "path": path.to_string()}),
            Err(error) => return of_error(case, &error),
        },
        _ => match Target::parse(Some(text(&input["target"])), &key, "", source_path) {
            Ok(target) => json!({"path": target.path.to_string()}),
            Err(error) => return of_error(case, &error),
        },
    };
    Verdict::of(case, &got)
}

fn branch_template(case: &Case<'_>) -> Verdict {
    match branch::render(
        text(&case.input["template"]),
        &AppKey::new("ns", "app"),
        &changes(case.input),
    ) {
        Ok(name) => {
            let name = name.as_str();
            let mut got = json!({"branch": name});
            if case.partial {
                got["byte_length"] = json!(name.len());
            }
            Verdict::of(case, &got)
        }
        Err(error) => of_error(case, &error),
    }
}

fn commit_message(case: &Case<'_>) -> Verdict {
    let template = case.input["template"].as_str().unwrap_or_default();
    let got = match MessageTemplate::parse(template) {
        Ok(template) => {
            let text = template
                .render(text(&case.input["app_name"]), &changes(case.input))
                .unwrap_or_else(|error| error.to_message());
            json!({"message": text, "stored": message::stored(&text)})
        }
        Err(_) => json!({"parse_error": true}),
    };
    Verdict::of(case, &got)
}

fn git_credentials_selection(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let selected = if text(&input["mode"]) == "secret" {
        of_secret(input)
    } else {
        let record = &input["repository"];
        Record::new(fields(record))
            .credential(text(&record["url"]))
            .map_err(|error| error.to_string())
    };
    match selected {
        Ok(credential) => Verdict::of(case, &credential_value(&credential)),
        Err(error) => of_error(case, &error),
    }
}

/// Reads the reference as the annotation has it, then the Secret.
fn of_secret(input: &Value) -> Result<GitCredential, String> {
    let annotation = format!("git:{}", text(&input["credentials"]));
    let method = WriteBackMethod::parse(Some(&annotation)).map_err(|error| error.to_string())?;
    let WriteBackMethod::Git(GitCredentials::Secret(reference)) = method else {
        return Err(format!("{method:?}"));
    };
    let reference = SecretReference::parse(&reference).map_err(|error| error.to_string())?;
    let secret = &input["secrets"][reference.to_string()];
    if secret.is_null() {
        return Err(format!("secrets {:?} not found", reference.name));
    }
    reference
        .credential(&fields(secret), text(&input["repo_url"]))
        .map_err(|error| error.to_string())
}

fn fields(object: &Value) -> Fields {
    let member = |(name, value): (&String, &Value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.as_str().into(), Secret::new(text))
    };
    object
        .as_object()
        .into_iter()
        .flatten()
        .map(member)
        .collect()
}

/// The kind and what is in effect, under the names of Argo CD's fields.
fn credential_value(credential: &GitCredential) -> Value {
    let mut got: Map<String, Value> = Map::new();
    let mut set = |name: &str, value: Value| {
        if value != json!("") {
            got.insert(name.to_owned(), value);
        }
    };
    let proxy = credential.proxy.reveal();
    let insecure = json!(credential.is_insecure);
    match &credential.kind {
        CredentialKind::None => set("kind", json!("none")),
        CredentialKind::Basic {
            username,
            password,
            is_forced,
        } => {
            set("kind", json!("https"));
            set("username", json!(username));
            set("password", json!(password.reveal()));
            set("forceBasicAuth", json!(is_forced));
            set("insecure", insecure);
        }
        CredentialKind::Bearer(_) => set("kind", json!("bearer")),
        CredentialKind::Ssh(key) => {
            set("kind", json!("ssh"));
            set("sshPrivateKey", json!(key.reveal()));
            set("insecureIgnoreHostKey", insecure);
        }
        CredentialKind::GithubApp {
            app_id,
            installation_id,
            private_key,
            base_url,
        } => {
            set("kind", json!("github_app"));
            set("githubAppID", json!(app_id));
            set("githubAppInstallationID", json!(installation_id));
            set("githubAppPrivateKey", json!(private_key.reveal()));
            set("githubAppEnterpriseBaseUrl", json!(base_url));
            set("insecure", insecure);
        }
        CredentialKind::GoogleCloud(_) => set("kind", json!("google_cloud")),
    }
    set("proxy", json!(proxy));
    if let Some(own) = &credential.client_certificate {
        set("clientCertData", json!(own.certificate.reveal()));
        set("clientCertKey", json!(own.key.reveal()));
    }
    Value::Object(got)
}

fn repo_url_normalisation(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let one = text(&input["url"]);
    let revision = text(&input["revision"]);
    let got = match text(&input["mode"]) {
        "normalise" => json!({"normalised": url::normalised(one)}),
        "same" => {
            let (left, right) = (text(&input["left"]), text(&input["right"]));
            json!({"same": url::is_same_repository(left, right)})
        }
        "classify" => json!({
            "is_ssh": url::ssh_user(one).is_some(),
            "ssh_user": url::ssh_user(one),
            "is_https": url::is_https(one),
            "is_http": url::is_http(one),
        }),
        _ => json!({
            "is_commit_sha": url::is_commit_id(revision),
            "is_truncated_commit_sha": url::is_short_commit_id(revision),
        }),
    };
    Verdict::of(case, &got)
}

fn base_revision_selection(case: &Case<'_>) -> Verdict {
    let app = application(case.input);
    Verdict::of(case, &json!({"revision": base_revision(&app)}))
}

fn settings_from_environment(case: &Case<'_>) -> Verdict {
    let name = text(&case.input["variable"]);
    let environment: Environment = case.input["value"]
        .as_str()
        .map(|value| (name, value))
        .into_iter()
        .collect();
    let git = GitVariables::of(&environment, &mut Vec::new());
    let got = match name {
        "GIT_BATCH_DISABLE" => json!({"batching": git.is_batching}),
        "GIT_BATCH_FLUSH_INTERVAL" => {
            json!({"interval_ms": git.batch_flush_interval.as_secs_f64() * 1_000.0})
        }
        "GIT_BATCH_MAX" => json!({"max": git.batch_max}),
        "ARGOCD_GIT_ATTEMPTS_COUNT" => json!({"attempts": git.push_attempts_max}),
        "ARGOCD_GIT_RETRY_DURATION" => millis(git.push_backoff_base),
        "ARGOCD_GIT_RETRY_MAX_DURATION" => millis(git.push_backoff_max),
        "ARGOCD_GIT_RETRY_FACTOR" => json!({"factor": git.push_backoff_factor}),
        // The first attempt is always made (WB-45).
        "OVERRIDE_MAX_RETRIES" => {
            json!({"attempts": write_retries_max(&environment, &mut Vec::new()).max(1)})
        }
        "ARGOCD_EXEC_TIMEOUT" => millis(git.exchange_timeout),
        "ARGOCD_GIT_REQUEST_TIMEOUT" => millis(git.request_timeout),
        "ARGOCD_GITHUB_APP_CREDS_EXPIRATION_DURATION" => {
            json!({"cache_minutes": git.github_token_lifetime.as_secs() / 60})
        }
        other => return Verdict::Failed(format!("unknown variable {other}")),
    };
    Verdict::of(case, &got)
}

fn millis(duration: std::time::Duration) -> Value {
    json!({"ms": duration.as_secs_f64() * 1_000.0})
}

fn template_command(case: &Case<'_>) -> Verdict {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("template");
    if let Some(content) = case.input["file"].as_str() {
        std::fs::write(&file, content).expect("a file can be written");
    }
    let words = case.input["args"].as_array().expect("args is a list");
    let arguments: Vec<String> = ["template".to_owned()]
        .into_iter()
        .chain(words.iter().map(|word| match text(word) {
            "FILE" => file.display().to_string(),
            word => word.to_owned(),
        }))
        .collect();
    let Ok(Invocation::Template(path)) = parse(&arguments, &Environment::default()).invocation
    else {
        return Verdict::Failed("refused".to_owned());
    };
    let (stdout, stderr, exit) = match template::show(path.as_deref()) {
        Ok(shown) => (shown.text, String::new(), 0),
        Err(error) => (String::new(), format!("Error: {error}").to_lowercase(), 1),
    };
    let want = case.expect;
    let want_exit = want["recommended_exit"].as_i64().or(want["exit"].as_i64());
    let is_as_expected = want["stdout"] == json!(stdout)
        && want_exit == Some(exit)
        && stderr.contains(want["stderr_contains"].as_str().unwrap_or_default());
    Verdict::from_bool(
        is_as_expected,
        &json!({"stdout": stdout, "stderr": stderr, "exit": exit}),
    )
}

/// Passes when an error is expected: its text is ours.
pub(super) fn of_error(case: &Case<'_>, error: &impl ToString) -> Verdict {
    let is_expected = case.expect.get("error").is_some();
    Verdict::from_bool(is_expected, &json!({"error": error.to_string()}))
}

fn changes(input: &Value) -> Vec<Change> {
    let change = |one: &Value| {
        let tag = |name: &str, digest: &str| Tag {
            name: text(&one[name]).to_owned(),
            digest: text(&one[digest]).to_owned(),
        };
        let mut image = Image::parse(text(&one["image"]));
        text(&one["alias"]).clone_into(&mut image.alias);
        Change {
            image,
            old: tag("old_tag", "old_digest"),
            new: tag("new_tag", "new_digest"),
        }
    };
    let list = input["changes"].as_array().expect("changes is a list");
    list.iter().map(change).collect()
}

/// Reads an application of the cases through the production parser.
pub(super) fn application(flat: &Value) -> Application {
    let annotations: BTreeMap<&str, &Value> = flat["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": flat["name"], "namespace": flat["namespace"], "uid": "u",
            "annotations": annotations},
        "spec": flat["spec"],
        "status": flat["status"],
    }))
    .expect("an object is always read")
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
