//! Vectors of the room `cli`.

use image_updater_core::duration::GoDuration;
use image_updater_core::time::UnixTime;
use image_updater_tokio::args::{
    ArgocdSettings, CommitSettings, Environment, Invocation, KubernetesSettings, Parsed, Refusal,
    RunSettings, SelectionSettings, TestSettings, WebhookServerSettings, WebhookSettings, parse,
    printable_interval, printable_port,
};
use image_updater_tokio::telemetry::{Level, Log, LogFormat, Page, Sink};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Case, Runner, Verdict, compare};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    match (file, group) {
        ("ops" | "registry", "duration_parse") => Some(duration_parse),
        ("ops", "duration_format") => Some(duration_format),
        ("ops", "env_parse") => Some(env_parse),
        ("ops", "printable_settings") => Some(printable_settings),
        ("ops", "cli_flag_parse") => Some(cli_flag_parse),
        ("ops", "log_stream") => Some(log_stream),
        ("ops", "argocd_server_addr") => Some(argocd_server_addr),
        ("registry", "env_number_parse") => Some(env_number_parse),
        ("registry", "env_bool_parse") => Some(env_bool_parse),
        _ => None,
    }
}

fn duration_parse(case: &Case<'_>) -> Verdict {
    let text = text(&case.input["text"]);
    let nanos = match case.input["default_ns"].as_i64() {
        Some(default) => {
            let bound = |name: &str| GoDuration::from_nanos(case.input[name].as_i64().unwrap_or(0));
            let environment = Environment::from_iter([("V", text)]);
            let bounds = (bound("min_ns"), bound("max_ns"));
            Some(environment.bounded_duration_or("V", GoDuration::from_nanos(default), bounds))
        }
        None => text.parse::<GoDuration>().ok(),
    };
    let got = nanos.map_or_else(
        || json!({"error": true}),
        |nanos| json!({"ns": nanos.as_nanos()}),
    );
    Verdict::of(case, &got)
}

fn duration_format(case: &Case<'_>) -> Verdict {
    let nanos = case.input["ns"].as_i64().expect("ns is an integer");
    Verdict::of(
        case,
        &json!({"text": GoDuration::from_nanos(nanos).to_string()}),
    )
}

fn env_parse(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let environment: Environment = input["value"]
        .as_str()
        .map(|value| ("V", value))
        .into_iter()
        .collect();
    let duration = |name: &str| text(&input[name]).parse().expect("a canonical duration");
    let mut warnings = Vec::new();
    let value = match text(&input["kind"]) {
        "bool" => {
            let default = input["default"].as_bool().expect("default is boolean");
            json!(environment.bool_or("V", default, &mut warnings))
        }
        "string" => json!(environment.text("V").unwrap_or(text(&input["default"]))),
        "duration" => {
            let value = environment.duration_or("V", duration("default"), &mut warnings);
            json!(value.to_string())
        }
        "bounded_duration" => {
            let bounds = (duration("min"), duration("max"));
            json!(
                environment
                    .bounded_duration_or("V", duration("default"), bounds)
                    .to_string()
            )
        }
        "int" => json!(integer_of(input, &environment)),
        other => panic!("unknown kind {other}"),
    };
    Verdict::of(case, &json!({"value": value}))
}

fn env_number_parse(case: &Case<'_>) -> Verdict {
    let environment = Environment::from_iter([("V", text(&case.input["text"]))]);
    Verdict::of(
        case,
        &json!({"value": integer_of(case.input, &environment)}),
    )
}

fn integer_of(input: &Value, environment: &Environment) -> i64 {
    let bound = |name: &str, otherwise| input[name].as_i64().unwrap_or(otherwise);
    let bounds = (bound("min", i64::MIN), bound("max", i64::MAX));
    environment.integer_or("V", bound("default", 0), bounds, &mut Vec::new())
}

fn env_bool_parse(case: &Case<'_>) -> Verdict {
    let environment = Environment::from_iter([("V", text(&case.input["text"]))]);
    let default = case.input["default"].as_bool().expect("default is boolean");
    Verdict::of(
        case,
        &json!({"value": environment.bool_or("V", default, &mut Vec::new())}),
    )
}

fn printable_settings(case: &Case<'_>) -> Verdict {
    let text = if let Some(nanos) = case.input["interval_ns"].as_i64() {
        printable_interval(GoDuration::from_nanos(nanos))
    } else {
        let port = case.input["health_port"]
            .as_u64()
            .expect("one of the two is given");
        printable_port(u16::try_from(port).expect("a port"))
    };
    Verdict::of(case, &json!({"text": text}))
}

fn log_stream(case: &Case<'_>) -> Verdict {
    let level = level_of(&case.input["level"]);
    let (stdout, stderr) = (Page::default(), Page::default());
    let log = Log::new(
        level_of(&case.input["configured"]),
        LogFormat::Text,
        || UnixTime::from_secs(0),
        Sink::plain(stdout.clone()),
        Sink::plain(stderr.clone()),
    );
    log.record(level, "x", &[]);
    let (stream, line) = match (stdout.to_text(), stderr.to_text()) {
        (line, empty) if empty.is_empty() && !line.is_empty() => (json!("stdout"), line),
        (empty, line) if empty.is_empty() && !line.is_empty() => (json!("stderr"), line),
        (empty, other) => (Value::Null, empty + &other),
    };
    let word = line.split(' ').find_map(|part| part.strip_prefix("level="));
    Verdict::of(case, &json!({"stream": stream, "text_level_word": word}))
}

fn level_of(word: &Value) -> Level {
    match text(word) {
        "fatal" => Level::Fatal,
        word => word.parse().expect("a level"),
    }
}

fn argocd_server_addr(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let mut arguments = vec!["run".to_owned()];
    for (flag, name) in [
        ("argocd-server-addr", "flag"),
        ("argocd-namespace", "argocd_namespace"),
    ] {
        if !text(&input[name]).is_empty() {
            arguments.push(format!("--{flag}={}", text(&input[name])));
        }
    }
    if input["disable_kubernetes"].as_bool() == Some(true) {
        arguments.push("--disable-kubernetes".to_owned());
    }
    let environment =
        Environment::from_iter([("ARGOCD_SERVER", text(&input["env_ARGOCD_SERVER"]))]);
    let Ok(Invocation::Run(run)) = parse(&arguments, &environment).invocation else {
        return Verdict::Failed("refused".to_owned());
    };
    let namespace = input["kube_namespace"].as_str().unwrap_or_default();
    Verdict::of(
        case,
        &json!({"address": run.argocd.server_addr_in(&run.kubernetes, namespace)}),
    )
}

fn cli_flag_parse(case: &Case<'_>) -> Verdict {
    let arguments: Vec<String> = case.input["argv"]
        .as_array()
        .expect("argv is a list")
        .iter()
        .map(|word| text(word).to_owned())
        .collect();
    let environment: Environment = case.input["env"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect();
    let Parsed {
        invocation,
        warnings: _,
    } = parse(&arguments, &environment);
    let (exit, stdout, stderr, config) = match invocation {
        Ok(Invocation::Print(text)) => (json!(0), text, String::new(), json!({})),
        Ok(invocation) => (
            Value::Null,
            String::new(),
            String::new(),
            config_of(&invocation),
        ),
        Err(refusal) => {
            let Refusal { error, usage, help } = *refusal;
            (
                json!(1),
                help.unwrap_or_default(),
                format!("{error}\n{usage}"),
                json!({}),
            )
        }
    };
    let is_as_expected = case
        .expect
        .as_object()
        .expect("expect is an object")
        .iter()
        .all(|(name, want)| match name.as_str() {
            "exit" => *want == exit,
            "stdout_contains" => stdout.contains(text(want)),
            "stderr_contains" => stderr.contains(text(want)),
            "stdout_regex" => Regex::new(text(want))
                .expect("an expression")
                .is_match(&stdout),
            "config" => compare(want, &config, true),
            other => panic!("unknown expectation {other}"),
        });
    Verdict::from_bool(
        is_as_expected,
        &json!({"exit": exit, "stdout": stdout, "stderr": stderr, "config": config}),
    )
}

/// What the invocation was told, under the names of the flags.
fn config_of(invocation: &Invocation) -> Value {
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| {
        config.insert(name.to_owned(), value);
    };
    match invocation {
        Invocation::Run(run) => run_config(run, &mut set),
        Invocation::Webhook(webhook) => webhook_config(webhook, &mut set),
        Invocation::Test(test) => test_config(test, &mut set),
        Invocation::Template(path) => {
            set("command", json!("template"));
            set("path", json!(path));
        }
        Invocation::Demo { keep } => {
            set("command", json!("demo"));
            set("keep", json!(keep));
        }
        Invocation::Print(_) => {}
    }
    Value::Object(config)
}

type Set<'a> = &'a mut dyn FnMut(&str, Value);

fn run_config(run: &RunSettings, set: Set<'_>) {
    let duration = |duration| json!(GoDuration::from(duration).to_string());
    set("command", json!("run"));
    log_config(run.log.level, run.log.format, set);
    kubernetes_config(&run.kubernetes, set);
    argocd_config(&run.argocd, set);
    selection_config(&run.selection, set);
    commit_config(&run.commit, set);
    webhook_server_config(&run.webhook, set);
    set("enable-webhook", json!(run.is_webhook_enabled));
    set("dry-run", json!(run.is_dry_run));
    set("interval", duration(run.interval));
    set("effective-interval", duration(run.effective_interval()));
    set("once", json!(run.is_once));
    set("health-port", json!(run.health_port));
    set("effective-health-port", json!(run.effective_health_port()));
    set("metrics-port", json!(run.metrics_port));
    set("registries-conf-path", json!(run.registries_conf_path));
    set("max-concurrency", json!(run.max_concurrency));
    set("warmup-cache", json!(run.has_warmup));
    set("warmup-concurrency", json!(run.warmup_concurrency));
    set("schedule", json!(run.schedule.word()));
    set("cooldown", duration(run.cooldown));
    set("per-repo-cap", json!(run.per_repo_cap));
    set("mode", json!(run.mode.word()));
    set("shutdown-timeout", duration(run.shutdown_timeout));
    set("application-deadline", duration(run.application_deadline));
    set("jitter", json!(run.has_jitter));
}

fn webhook_config(webhook: &WebhookSettings, set: Set<'_>) {
    set("command", json!("webhook"));
    log_config(webhook.log.level, webhook.log.format, set);
    kubernetes_config(&webhook.kubernetes, set);
    argocd_config(&webhook.argocd, set);
    selection_config(&webhook.selection, set);
    commit_config(&webhook.commit, set);
    webhook_server_config(&webhook.webhook, set);
    set("dry-run", json!(webhook.is_dry_run));
    set("metrics-port", json!(webhook.metrics_port));
    set("registries-conf-path", json!(webhook.registries_conf_path));
    set("max-concurrency", json!(webhook.max_concurrency));
}

fn test_config(test: &TestSettings, set: Set<'_>) {
    set("command", json!("test"));
    log_config(test.log.level, test.log.format, set);
    set("image", json!(test.image));
    set("semver-constraint", json!(test.semver_constraint));
    set("allow-tags", json!(test.allow_tags));
    set("ignore-tags", json!(test.ignore_tags));
    set("update-strategy", json!(test.update_strategy));
    set("registries-conf-path", json!(test.registries_conf_path));
    set("disable-kubernetes", json!(test.is_kubernetes_disabled));
    set("kubeconfig", json!(test.kubeconfig));
    set("credentials", json!(test.credentials));
    set("platforms", json!(test.platforms));
    set("rate-limit", json!(test.rate_limit));
    set("rate-limit-applied", json!(test.is_rate_limit_given));
}

fn log_config(level: Level, format: LogFormat, set: Set<'_>) {
    let format = match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    for (name, word) in [("loglevel", level.word()), ("logformat", format)] {
        set(name, json!(word));
        set(&format!("effective-{name}"), json!(word));
    }
}

fn kubernetes_config(kubernetes: &KubernetesSettings, set: Set<'_>) {
    set("disable-kubernetes", json!(kubernetes.is_disabled));
    set("kubeconfig", json!(kubernetes.kubeconfig));
    set("argocd-namespace", json!(kubernetes.argocd_namespace));
    set("disable-kube-events", json!(kubernetes.has_events_disabled));
}

fn argocd_config(argocd: &ArgocdSettings, set: Set<'_>) {
    set("applications-api", json!(argocd.applications_api.word()));
    set("argocd-server-addr", json!(argocd.server_addr));
    set("argocd-grpc-web", json!(argocd.is_grpc_web));
    set("argocd-insecure", json!(argocd.is_insecure));
    set("argocd-plaintext", json!(argocd.is_plaintext));
    set("argocd-auth-token", json!(argocd.auth_token.reveal()));
    set(
        "effective-argocd-auth-token",
        json!(argocd.effective_auth_token.reveal()),
    );
}

fn selection_config(selection: &SelectionSettings, set: Set<'_>) {
    set("application-namespace", json!(selection.namespace));
    set("match-application-name", json!(selection.name_patterns));
    set("match-application-label", json!(selection.label_selector));
}

fn commit_config(commit: &CommitSettings, set: Set<'_>) {
    set("git-commit-user", json!(commit.user));
    set("git-commit-email", json!(commit.email));
    set("git-commit-signing-key", json!(commit.signing_key));
    set(
        "git-commit-signing-method",
        json!(commit.signing_method.word()),
    );
    set("git-commit-sign-off", json!(commit.has_sign_off));
    set("git-commit-message-path", json!(commit.message_path));
}

fn webhook_server_config(server: &WebhookServerSettings, set: Set<'_>) {
    set("webhook-port", json!(server.port));
    set(
        "docker-webhook-secret",
        json!(server.docker_secret.reveal()),
    );
    set("ghcr-webhook-secret", json!(server.ghcr_secret.reveal()));
    set("quay-webhook-secret", json!(server.quay_secret.reveal()));
    set(
        "harbor-webhook-secret",
        json!(server.harbor_secret.reveal()),
    );
    set(
        "webhook-ratelimit-allowed",
        json!(server.events_per_hour_max),
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
