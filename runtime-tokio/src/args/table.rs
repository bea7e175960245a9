//! The table of all flags: parsing, environment, help and completion are made from it.

use super::command::Command;
use super::flag::{Flag, Kind, Subject};

/// The flags of `command`.
pub(super) fn flags_of(command: Command) -> impl Iterator<Item = &'static Flag> {
    FLAGS
        .iter()
        .filter(move |flag| flag.commands.contains(&command))
}

/// The first row of this name, whatever its command: rows of one name share their kind.
pub(super) fn flag_of_any_command(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

const RUN: &[Command] = &[Command::Run];
const SERVING: &[Command] = &[Command::Run, Command::Webhook];
const WEBHOOK: &[Command] = &[Command::Webhook];
const TEST: &[Command] = &[Command::Test];
const LOGGING: &[Command] = &[Command::Run, Command::Webhook, Command::Test];

const ARGOCD_API: &str = "the Argo CD API";
const WEBHOOK_SERVER: &str = "the webhook server";

use Kind::{Bool, Csv, Duration, Integer, Items, Secret, Text};

/// A flag of `run` without a variable.
const fn flag(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    subject: Subject,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        kind,
        default,
        variable: None,
        commands: RUN,
        subject,
        help,
        later: None,
    }
}

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    flag("semver-constraint", Text, "", Subject::Image, "only consider versions within this constraint").on(TEST),
    flag("allow-tags", Text, "", Subject::Image, "only consider tags that this match function accepts: any, or regexp:<expression>").on(TEST),
    flag("ignore-tags", Items, "", Subject::Image, "leave out tags that match this glob pattern; may be repeated").on(TEST),
    flag("update-strategy", Text, "semver", Subject::Image, "semver, newest-build, alphabetical or digest").on(TEST),
    flag("platforms", Csv, "", Subject::Image, "platforms to consider, like linux/arm64 (default: that of this machine)").on(TEST),

    flag("interval", Duration, "2m0s", Subject::Checks, "how often applications are checked; 0 means one pass")
        .env("IMAGE_UPDATER_INTERVAL"),
    flag("mode", Text, "cycle", Subject::Checks, "cycle (all applications, then a pause) or continuous (each at its own time)")
        .env("IMAGE_UPDATER_MODE"),
    flag("once", Bool, "false", Subject::Checks, "check every application once and end; sets interval 0 and health port 0"),
    flag("schedule", Text, "default", Subject::Checks, "order of applications: default, lru or fail-first")
        .env("IMAGE_UPDATER_SCHEDULE"),
    flag("cooldown", Duration, "0s", Subject::Checks, "applications that were successful within this time come last")
        .env("IMAGE_UPDATER_COOLDOWN"),
    flag("per-repo-cap", Integer, "0", Subject::Checks, "applications per source repository and pass; 0 means no limit")
        .env_within("IMAGE_UPDATER_PER_REPO_CAP", 0, 100_000),
    flag("max-concurrency", Integer, "10", Subject::Checks, "applications checked at a time; 0 means eight per CPU"),
    flag("max-concurrency", Integer, "10", Subject::Checks, "applications processed at a time").on(WEBHOOK),
    flag("warmup-cache", Bool, "true", Subject::Checks, "fill the caches before the first pass"),
    flag("warmup-concurrency", Integer, "1", Subject::Checks, "applications warmed up at a time; 0 means eight per CPU"),
    flag("jitter", Bool, "true", Subject::Checks, "spread the first checks and vary intervals a little, so that applications do not come in step"),
    flag("application-deadline", Duration, "10m0s", Subject::Checks, "the check of one application is given up after this time"),
    flag("dry-run", Bool, "false", Subject::Checks, "decide, but write nothing").on(SERVING),

    flag("application-namespace", Text, "", Subject::Applications, "only Applications of this namespace; empty means all").on(SERVING),
    flag("match-application-name", Csv, "", Subject::Applications, "only Applications whose name matches one of these patterns (deprecated)").on(SERVING),
    flag("match-application-label", Text, "", Subject::Applications, "only Applications with these labels (deprecated)").on(SERVING),

    flag("registries-conf-path", Text, "/app/config/registries.conf", Subject::Registries, "file with the registries; empty means the built-in ones").on(SERVING),
    flag("registries-conf-path", Text, "", Subject::Registries, "file with the registries; empty means the built-in ones").on(TEST),
    flag("credentials", Text, "", Subject::Registries, "where the credentials come from, instead of the registry's own setting").on(TEST),
    flag("rate-limit", Integer, "20", Subject::Registries, "requests per second, instead of the registry's own limit").on(TEST),

    flag("git-commit-user", Text, "argocd-image-updater", Subject::Git, "name of the author of commits")
        .env("GIT_COMMIT_USER").on(SERVING),
    flag("git-commit-email", Text, "noreply@argoproj.io", Subject::Git, "e-mail address of the author of commits")
        .env("GIT_COMMIT_EMAIL").on(SERVING),
    flag("git-commit-signing-key", Text, "", Subject::Git, "GnuPG key id, or path of an SSH private key, to sign commits with")
        .env("GIT_COMMIT_SIGNING_KEY").on(SERVING),
    flag("git-commit-signing-method", Text, "openpgp", Subject::Git, "openpgp or ssh")
        .env("GIT_COMMIT_SIGNING_METHOD").on(SERVING),
    flag("git-commit-sign-off", Bool, "false", Subject::Git, "add a Signed-off-by line to commit messages")
        .env("GIT_COMMIT_SIGN_OFF").on(SERVING),
    flag("git-commit-message-path", Text, "/app/config/commit.template", Subject::Git, "file with the template of commit messages; empty means the built-in one")
        .on(SERVING),

    flag("enable-webhook", Bool, "false", Subject::Webhook, "serve webhooks beside polling")
        .env("ENABLE_WEBHOOK").later(WEBHOOK_SERVER),
    flag("webhook-port", Integer, "8082", Subject::Webhook, "port of the webhook server; 0 means off")
        .env_within("WEBHOOK_PORT", 0, 65_535).later(WEBHOOK_SERVER),
    flag("webhook-port", Integer, "8080", Subject::Webhook, "port of the webhook server")
        .env_within("WEBHOOK_PORT", 0, 65_535).on(WEBHOOK),
    flag("docker-webhook-secret", Secret, "", Subject::Webhook, "secret of webhooks from Docker Hub")
        .env("DOCKER_WEBHOOK_SECRET").on(SERVING).later(WEBHOOK_SERVER),
    flag("ghcr-webhook-secret", Secret, "", Subject::Webhook, "secret of webhooks from the GitHub container registry")
        .env("GHCR_WEBHOOK_SECRET").on(SERVING).later(WEBHOOK_SERVER),
    flag("quay-webhook-secret", Secret, "", Subject::Webhook, "secret of webhooks from Quay")
        .env("QUAY_WEBHOOK_SECRET").on(SERVING).later(WEBHOOK_SERVER),
    flag("harbor-webhook-secret", Secret, "", Subject::Webhook, "secret of webhooks from Harbor")
        .env("HARBOR_WEBHOOK_SECRET").on(SERVING).later(WEBHOOK_SERVER),
    flag("webhook-ratelimit-allowed", Integer, "0", Subject::Webhook, "events processed per hour; 0 means no limit")
        .env_within("WEBHOOK_RATELIMIT_ALLOWED", 0, i64::MAX).on(SERVING).later(WEBHOOK_SERVER),

    flag("kubeconfig", Text, "", Subject::Kubernetes, "kubeconfig file; empty means $KUBECONFIG, ~/.kube/config or the pod's own account").on(LOGGING),
    flag("disable-kubernetes", Bool, "false", Subject::Kubernetes, "do without a Kubernetes client (deprecated)").on(SERVING),
    flag("disable-kubernetes", Bool, "false", Subject::Kubernetes, "do without a Kubernetes client").on(TEST),
    flag("disable-kube-events", Bool, "false", Subject::Kubernetes, "post no Kubernetes Events; mind that the variable set to true switches them off, too")
        .env("IMAGE_UPDATER_KUBE_EVENTS").on(SERVING),
    flag("disable-kubernetes-events", Bool, "false", Subject::Kubernetes, "accepted without effect").on(TEST),
    flag("argocd-namespace", Text, "", Subject::Kubernetes, "namespace of Argo CD; empty means that of the Kubernetes client").on(SERVING),

    flag("applications-api", Text, "kubernetes", Subject::ArgoCd, "kubernetes or argocd (deprecated)")
        .env("APPLICATIONS_API").on(SERVING),
    flag("argocd-server-addr", Text, "", Subject::ArgoCd, "address of the Argo CD API; empty means argocd-server.<namespace> (deprecated)")
        .env("ARGOCD_SERVER").on(SERVING).later(ARGOCD_API),
    flag("argocd-grpc-web", Bool, "false", Subject::ArgoCd, "use gRPC-web (deprecated)")
        .env("ARGOCD_GRPC_WEB").on(SERVING).later(ARGOCD_API),
    flag("argocd-insecure", Bool, "false", Subject::ArgoCd, "accept any certificate of the server (deprecated)")
        .env("ARGOCD_INSECURE").on(SERVING).later(ARGOCD_API),
    flag("argocd-plaintext", Bool, "false", Subject::ArgoCd, "connect without TLS (deprecated)")
        .env("ARGOCD_PLAINTEXT").on(SERVING).later(ARGOCD_API),
    flag("argocd-auth-token", Secret, "", Subject::ArgoCd, "token for the Argo CD API; empty means $ARGOCD_TOKEN (deprecated)").on(SERVING).later(ARGOCD_API),

    flag("health-port", Integer, "8080", Subject::Servers, "port of the health server; 0 means off"),
    flag("metrics-port", Integer, "8081", Subject::Servers, "port of the metrics server; 0 means off"),
    flag("metrics-port", Integer, "0", Subject::Servers, "port of the metrics server; 0 means off").on(WEBHOOK),

    flag("loglevel", Text, "info", Subject::Log, "trace, debug, info, warn or error")
        .env("IMAGE_UPDATER_LOGLEVEL").on(SERVING),
    flag("loglevel", Text, "debug", Subject::Log, "trace, debug, info, warn or error").on(TEST),
    flag("logformat", Text, "text", Subject::Log, "text or json").env("IMAGE_UPDATER_LOGFORMAT").on(LOGGING),

    flag("shutdown-timeout", Duration, "25s", Subject::Other, "work under way is waited for this long when the program is told to end").on(SERVING),
    flag("output", Text, "text", Subject::Other, "text, or json for one document on standard output and the log on standard error").on(TEST),
    flag("explain", Bool, "false", Subject::Other, "show every tag with the reason why it was taken or refused").on(TEST),
    flag("short", Bool, "false", Subject::Other, "only the version").on(&[Command::Version]),
    flag("keep", Bool, "false", Subject::Other, "go on until interrupted").on(&[Command::Demo]),
    flag("no-descriptions", Bool, "false", Subject::Other, "leave out descriptions").on(&[Command::Completion]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_share_their_kind_and_no_command_has_two() {
        for (idx, flag) in FLAGS.iter().enumerate() {
            for other in &FLAGS[idx + 1..] {
                if other.name == flag.name {
                    assert_eq!(other.kind, flag.kind, "--{}", flag.name);
                    assert!(
                        !other
                            .commands
                            .iter()
                            .any(|command| flag.commands.contains(command)),
                        "--{} stands twice for one command",
                        flag.name
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_lower_case_words_joined_by_hyphens() {
        for flag in FLAGS {
            assert!(
                flag.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "--{}",
                flag.name
            );
            assert!(
                !flag.help.ends_with('.') && !flag.help.is_empty(),
                "--{}",
                flag.name
            );
        }
    }
}
