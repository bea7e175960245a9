use std::time::Duration;

use super::*;

#[test]
fn unset_flags_are_their_documented_defaults() {
    let run = run(&["run"], &[]);
    assert_eq!(run.interval, Duration::from_mins(2));
    assert_eq!(
        (run.health_port, run.metrics_port, run.webhook.port),
        (8080, 8081, 8082)
    );
    assert_eq!((run.mode, run.schedule), (Mode::Cycle, Schedule::Default));
    assert_eq!(
        (
            run.max_concurrency,
            run.warmup_concurrency,
            run.per_repo_cap
        ),
        (10, 1, 0)
    );
    assert_eq!(run.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(run.application_deadline, Duration::from_mins(10));
    assert!(run.has_warmup && run.has_jitter && !run.is_once && !run.is_dry_run);
    assert_eq!(run.registries_conf_path, "/app/config/registries.conf");
    assert_eq!(run.commit.user, "argocd-image-updater");
    assert_eq!(run.later, []);
}

#[test]
fn flags_stand_before_or_behind_the_command() {
    for line in [
        &["run", "--interval", "90s", "--dry-run"][..],
        &["--interval", "90s", "run", "--dry-run"],
        &["--interval=90s", "--dry-run", "run"],
        &["--dry-run", "run", "--interval=90s", "--"],
        &["--dry-run=T", "run", "--interval=1m", "--interval=90s"],
    ] {
        let run = run(line, &[]);
        assert_eq!(run.interval, Duration::from_secs(90), "{line:?}");
        assert!(run.is_dry_run, "{line:?}");
    }
}

#[test]
fn flag_beats_environment_and_environment_beats_default() {
    let environment = [("IMAGE_UPDATER_INTERVAL", "5m"), ("ENABLE_WEBHOOK", "TRUE")];
    let from_environment = run(&["run"], &environment);
    assert_eq!(from_environment.interval, Duration::from_mins(5));
    assert!(from_environment.is_webhook_enabled);
    let from_flags = run(
        &["run", "--interval=1m", "--enable-webhook=false"],
        &environment,
    );
    assert_eq!(from_flags.interval, Duration::from_mins(1));
    assert!(!from_flags.is_webhook_enabled);
}

#[test]
fn unacceptable_variables_warn_and_leave_the_default() {
    let environment = Environment::from_iter([
        ("IMAGE_UPDATER_INTERVAL", "soon"),
        ("WEBHOOK_PORT", "tcp://10.0.0.1:80"),
        ("IMAGE_UPDATER_PER_REPO_CAP", "100001"),
        ("GIT_COMMIT_SIGN_OFF", "yes"),
        ("ENABLE_LOG_COLORS", "off"),
    ]);
    let parsed = parse(&["run".to_owned()], &environment);
    let Ok(Invocation::Run(run)) = parsed.invocation else {
        panic!("{parsed:?}")
    };
    assert_eq!(run.interval, Duration::from_mins(2));
    assert_eq!((run.webhook.port, run.per_repo_cap), (8082, 0));
    assert!(!run.commit.has_sign_off && run.log.with_colours);
    for name in [
        "IMAGE_UPDATER_INTERVAL",
        "WEBHOOK_PORT",
        "IMAGE_UPDATER_PER_REPO_CAP",
        "GIT_COMMIT_SIGN_OFF",
        "ENABLE_LOG_COLORS",
    ] {
        let about: Vec<_> = parsed
            .warnings
            .iter()
            .filter(|text| text.starts_with(name))
            .collect();
        assert_eq!(about.len(), 1, "{name} in {:?}", parsed.warnings);
    }
}

#[test]
fn mistakes_name_the_flag_and_what_is_accepted() {
    for (line, texts) in [
        (&["bogus"][..], &["unknown command \"bogus\""][..]),
        (&["false"], &["unknown command \"false\""]),
        (&["--bogus", "run"], &["unknown flag: --bogus"]),
        (&["--interval", "1m"], &["unknown flag: --interval"]),
        (
            &["run", "--max_concurrency=3"],
            &["unknown flag: --max_concurrency"],
        ),
        (&["webhook", "--interval=1m"], &["unknown flag: --interval"]),
        (&["run", "--short"], &["unknown flag: --short"]),
        (&["run", "--=x"], &["bad flag syntax: --=…"]),
        (&["run", "---x"], &["bad flag syntax: ---x"]),
        (
            &["run", "-interval", "1m"],
            &["unknown shorthand flag: 'i' in -interval"],
        ),
        (
            &["run", "--interval"],
            &["flag needs an argument: --interval"],
        ),
        (
            &["run", "--interval", "30"],
            &["invalid argument \"30\" for \"--interval\"", "90s"],
        ),
        (
            &["run", "--interval=-5s"],
            &["\"--interval\"", "cannot be negative"],
        ),
        (
            &["run", "--cooldown=-1s"],
            &["\"--cooldown\"", "cannot be negative"],
        ),
        (
            &["run", "--dry-run=yes"],
            &[
                "invalid argument \"yes\" for \"--dry-run\"",
                "true and false",
            ],
        ),
        (
            &["run", "--dry-run="],
            &["invalid argument \"\" for \"--dry-run\""],
        ),
        (
            &["run", "--warmup-cache", "false"],
            &["unexpected argument \"false\"", "equals sign"],
        ),
        (
            &["run", "--", "--once"],
            &["unexpected argument \"--once\""],
        ),
        (
            &["run", "--max-concurrency=many"],
            &["invalid argument \"many\" for \"--max-concurrency\""],
        ),
        (
            &["run", "--max-concurrency", "-1"],
            &["--max-concurrency cannot be negative (0=auto)"],
        ),
        (
            &["run", "--max-concurrency=99999999999"],
            &["\"--max-concurrency\"", "4294967295"],
        ),
        (
            &["run", "--per-repo-cap=-1"],
            &["\"--per-repo-cap\"", "0=unlimited"],
        ),
        (
            &["run", "--health-port=65536"],
            &["\"--health-port\"", "0 to 65535"],
        ),
        (
            &["run", "--metrics-port=-1"],
            &["\"--metrics-port\"", "0 to 65535"],
        ),
        (
            &["run", "--webhook-port=70000"],
            &["\"--webhook-port\"", "0 to 65535"],
        ),
        (
            &["run", "--webhook-ratelimit-allowed=-1"],
            &["\"--webhook-ratelimit-allowed\"", "negative"],
        ),
        (
            &["run", "--loglevel=verbose"],
            &["invalid loglevel: verbose", "--loglevel", "trace, debug"],
        ),
        (
            &["run", "--logformat=xml"],
            &["\"--logformat\"", "text, json"],
        ),
        (
            &["run", "--mode=Continuous"],
            &["\"--mode\"", "cycle, continuous"],
        ),
        (
            &["run", "--schedule=LRU"],
            &["\"--schedule\"", "default, lru, fail-first"],
        ),
        (
            &["run", "--applications-api=rest"],
            &[
                "application api 'rest' is not supported",
                "kubernetes and argocd",
            ],
        ),
        (
            &["run", "--git-commit-signing-method=x509"],
            &["\"--git-commit-signing-method\"", "openpgp, ssh"],
        ),
        (
            &["run", "--match-application-name=a\"b"],
            &["\"--match-application-name\"", "quote"],
        ),
        (
            &["run", "--application-deadline=0"],
            &["\"--application-deadline\"", "greater than zero"],
        ),
        (
            &["webhook", "--max-concurrency=0"],
            &["--max-concurrency must be greater than 1"],
        ),
        (&["test"], &["needs an image"]),
        (&["test", "a", "b"], &["unexpected argument \"b\""]),
        (
            &["test", "a", "--update-strategy=best"],
            &["\"--update-strategy\"", "newest-build"],
        ),
        (&["version", "now"], &["unexpected argument \"now\""]),
        (
            &["completion", "tcsh"],
            &["unknown shell \"tcsh\"", "bash, zsh, fish or powershell"],
        ),
        (&["help", "bogus"], &["unknown command \"bogus\""]),
    ] {
        let refusal = read(line, &[]).expect_err("a mistake is refused");
        let message = refusal.error.to_string();
        for text in texts {
            assert!(
                message.contains(text),
                "{line:?} says {message:?}, not {text:?}"
            );
        }
        assert!(refusal.usage.starts_with("Usage:\n"), "{line:?}");
    }
}

#[test]
fn mistake_in_a_variable_names_the_variable() {
    for (name, value, texts) in [
        (
            "IMAGE_UPDATER_MODE",
            "fast",
            ["--mode", "IMAGE_UPDATER_MODE"],
        ),
        (
            "IMAGE_UPDATER_COOLDOWN",
            "-1s",
            ["--cooldown", "IMAGE_UPDATER_COOLDOWN"],
        ),
    ] {
        let refusal = read(&["run"], &[(name, value)]).expect_err("a mistake is refused");
        let message = refusal.error.to_string();
        assert!(texts.iter().all(|text| message.contains(text)), "{message}");
    }
}

#[test]
fn lists_split_and_add_up_by_their_own_rules() {
    let patterns = |line: &[&str]| run(line, &[]).selection.name_patterns;
    let flag = "--match-application-name";
    assert_eq!(
        patterns(&["run", flag, "a,\"b,c\"", flag, "d"]),
        ["a", "b,c", "d"]
    );
    assert!(patterns(&["run", "--match-application-name="]).is_empty());
    let test = test(&["test", "nginx", "--ignore-tags=a,b", "--ignore-tags", "c*"]);
    assert_eq!(test.ignore_tags, ["a,b", "c*"]);
    assert_eq!(test.platforms, [own_platform()]);
}

#[test]
fn rate_limit_counts_as_given_even_with_the_default_value() {
    let (plain, given) = (
        test(&["test", "a"]),
        test(&["test", "a", "--rate-limit=20"]),
    );
    assert_eq!((plain.rate_limit, plain.is_rate_limit_given), (20, false));
    assert_eq!((given.rate_limit, given.is_rate_limit_given), (20, true));
}

#[test]
fn once_means_no_interval_and_no_health_port() {
    let run = run(
        &["run", "--once", "--interval=5m", "--health-port=9000"],
        &[],
    );
    assert_eq!(run.effective_interval(), Duration::ZERO);
    assert_eq!((run.effective_health_port(), run.metrics_port), (0, 8081));
}

#[test]
fn token_of_the_flag_beats_the_one_of_the_environment_and_neither_is_shown() {
    let environment = [
        ("ARGOCD_TOKEN", "hush-env"),
        ("DOCKER_WEBHOOK_SECRET", "hush-docker"),
    ];
    let by_variable = run(&["run"], &environment);
    assert!(by_variable.argocd.auth_token.is_empty());
    assert_eq!(by_variable.argocd.effective_auth_token.reveal(), "hush-env");
    let by_flag = run(&["run", "--argocd-auth-token=hush-flag"], &environment);
    assert_eq!(by_flag.argocd.effective_auth_token.reveal(), "hush-flag");
    let help = printed(&["run", "--help"], &environment);
    let shown = format!("{by_flag:?} {help} {}", later_flags(&by_flag).join(" "));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(
        help.contains("default (secret) from $DOCKER_WEBHOOK_SECRET"),
        "{help}"
    );
}

#[test]
fn address_of_argocd_is_derived_from_the_namespace() {
    for (line, client_namespace, want) in [
        (&["run"][..], "gitops", "argocd-server.gitops"),
        (&["run"], "", "argocd-server.argocd"),
        (
            &["run", "--argocd-namespace=x"],
            "gitops",
            "argocd-server.x",
        ),
        (
            &["run", "--argocd-namespace=x", "--disable-kubernetes"],
            "gitops",
            "argocd-server.argocd",
        ),
        (&["run", "--argocd-server-addr=a:443"], "gitops", "a:443"),
    ] {
        let run = run(line, &[]);
        assert_eq!(
            run.argocd.server_addr_in(&run.kubernetes, client_namespace),
            want,
            "{line:?}"
        );
    }
}

#[test]
fn help_shows_what_holds_without_flags() {
    let help = printed(&["run", "-h"], &[("IMAGE_UPDATER_INTERVAL", "5m")]);
    assert!(
        help.contains("(default 5m0s from $IMAGE_UPDATER_INTERVAL)"),
        "{help}"
    );
    assert!(
        help.contains("(default 0s, $IMAGE_UPDATER_COOLDOWN)"),
        "{help}"
    );
    assert_eq!(
        help,
        printed(&["help", "run"], &[("IMAGE_UPDATER_INTERVAL", "5m")])
    );
    assert_eq!(
        help,
        printed(&["--help", "run"], &[("IMAGE_UPDATER_INTERVAL", "5m")])
    );
    for line in [&[][..], &["--help"], &["help"], &["-h"]] {
        assert!(printed(line, &[]).contains("Usage:"), "{line:?}");
    }
    for command in Command::all() {
        let help = printed(&[command.word(), "--help"], &[]);
        assert!(help.contains("Usage:\n  argocd-image-updater"), "{help}");
        assert!(table::flags_of(command).all(|flag| help.contains(&format!("--{}", flag.name))));
    }
}

#[test]
fn image_missing_shows_help_on_standard_output() {
    let refusal = read(&["test"], &[]).expect_err("an image is needed");
    assert!(refusal.help.is_some_and(|help| help.contains("Usage:")));
    assert_eq!(
        read(&["test", "a", "b"], &[])
            .expect_err("one image only")
            .help,
        None
    );
}

#[test]
fn flags_of_later_parts_are_named_once_per_part() {
    assert!(later_flags(&run(&["run", "--once", "--metrics-port=0"], &[])).is_empty());
    let run = run(
        &[
            "run",
            "--argocd-grpc-web",
            "--argocd-insecure",
            "--git-commit-user=bot",
            "--metrics-port=0",
        ],
        &[("ENABLE_WEBHOOK", "true"), ("ARGOCD_PLAINTEXT", "false")],
    );
    assert_eq!(
        later_flags(&run),
        [
            "the Argo CD API is not part of this build yet: \
             --argocd-grpc-web, --argocd-insecure have no effect",
            "the webhook server is not part of this build yet: --enable-webhook has no effect",
            "the health server is not part of this build yet: --health-port has no effect, \
             port 8080 stays closed",
        ]
    );
}

#[test]
fn every_shell_has_a_script_that_knows_the_flags() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completion", shell], &[]);
        assert!(
            script.contains("max-concurrency") && script.contains("webhook"),
            "{shell}"
        );
        let short = printed(&["completion", shell, "--no-descriptions"], &[]);
        assert!(
            short.len() <= script.len() && !short.contains("the caches"),
            "{shell}"
        );
    }
}

#[test]
fn commands_without_settings_are_read() {
    assert_eq!(read(&["template"], &[]), Ok(Invocation::Template(None)));
    assert_eq!(
        read(&["template", "a"], &[]),
        Ok(Invocation::Template(Some("a".to_owned())))
    );
    assert_eq!(
        read(&["template", "a", "b"], &[]),
        Ok(Invocation::Template(None))
    );
    if cfg!(feature = "demo") {
        assert_eq!(
            read(&["demo", "--keep"], &[]),
            Ok(Invocation::Demo { keep: true })
        );
    }
    assert_eq!(
        printed(&["version", "--short"], &[]),
        format!("{}\n", version::short_version())
    );
}

fn read(line: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, Box<Refusal>> {
    let arguments: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
    parse(&arguments, &environment.iter().copied().collect()).invocation
}

fn run(line: &[&str], environment: &[(&str, &str)]) -> RunSettings {
    match read(line, environment) {
        Ok(Invocation::Run(settings)) => *settings,
        other => panic!("{line:?} is {other:?}"),
    }
}

fn test(line: &[&str]) -> TestSettings {
    match read(line, &[]) {
        Ok(Invocation::Test(settings)) => *settings,
        other => panic!("{line:?} is {other:?}"),
    }
}

fn printed(line: &[&str], environment: &[(&str, &str)]) -> String {
    match read(line, environment) {
        Ok(Invocation::Print(text)) => text,
        other => panic!("{line:?} is {other:?}"),
    }
}
