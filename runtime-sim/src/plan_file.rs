//! Options as a text file: one `key value` per line, `#` begins a comment. What is not named is as in
//! [`Options::quiet`]. A file keeps what once failed, and is replayed as a test.

use std::fmt::Write as _;
use std::time::Duration;

use crate::fault::{CLASSES, Drawn};
use crate::options::{Faults, GitFaults, Options, Planted, Policy, Profile};

/// The file of `options`.
pub fn to_text(options: &Options) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{key} {value}").expect("writing to a String succeeds");
    };
    line("seed", &format_args!("{:#x}", options.seed));
    line("apps", &options.apps);
    line("hours", &(options.horizon.as_secs() / 3600));
    line(
        "profile",
        &match options.profile {
            Profile::Faultless => "faultless",
            Profile::Swarm => "swarm",
            Profile::Single => "single",
        },
    );
    line("registries", &options.registries);
    line("repositories", &options.repositories);
    line("tags", &options.tags);
    line("interval-s", &options.interval.as_secs());
    line("mode", &if options.cycle { "cycle" } else { "continuous" });
    line(
        "policy",
        &match options.policy {
            Policy::Default => "default",
            Policy::Lru => "lru",
            Policy::FailFirst => "fail-first",
        },
    );
    line("max-concurrency", &options.concurrency_max);
    line("per-repo-cap", &options.per_repo_cap);
    line("cooldown-s", &options.cooldown.as_secs());
    line("actions-per-hour", &options.actions_per_hour);
    let mut faults = options.faults;
    for (name, rate) in classes(&mut faults) {
        if *rate > 0 {
            line(name, rate);
        }
    }
    line("git", &options.git);
    let mut faults = options.git_faults;
    for (name, rate) in git_classes(&mut faults) {
        if *rate > 0 {
            line(name, rate);
        }
    }
    line("logins", &if options.logins { "on" } else { "off" });
    line("token-life-s", &options.token_ttl_s);
    line("rate", &options.rate);
    line("warm-up", &if options.warmup { "on" } else { "off" });
    let latency = if options.split { "split" } else { "shared" };
    line("latency", &latency);
    line("late", &options.registry_faults.late);
    for drawn in &options.registry_faults.drawn {
        line(
            "fault",
            &format_args!(
                "{} {} on-s {} off-s {}",
                CLASSES[drawn.class].name, drawn.per_million, drawn.on_s_min, drawn.off_s_min
            ),
        );
    }
    if let Some(planted) = options.planted {
        line("planted", &planted.invariant());
    }
    text
}

/// The options that a file names.
///
/// # Errors
/// The line that makes no sense, and why.
pub fn parse(text: &str) -> Result<Options, String> {
    let mut options = Options::quiet(1);
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (key, value) = line
            .split_once(' ')
            .ok_or_else(|| format!("line {}: {line:?} is no `key value`", at + 1))?;
        set(&mut options, key, value.trim())
            .map_err(|problem| format!("line {}: {key}: {problem}", at + 1))?;
    }
    Ok(options)
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<(), String> {
    match key {
        "seed" => options.seed = parse_seed(value)?,
        "apps" => options.apps = number(value)?,
        "hours" => options.horizon = Duration::from_secs(3600 * number::<u64>(value)?),
        "profile" => {
            options.profile = match value {
                "faultless" => Profile::Faultless,
                "swarm" => Profile::Swarm,
                "single" => Profile::Single,
                _ => return Err(format!("{value:?} is none of faultless, swarm, single")),
            }
        }
        "registries" => options.registries = number(value)?,
        "repositories" => options.repositories = number(value)?,
        "tags" => options.tags = number(value)?,
        "interval-s" => options.interval = Duration::from_secs(number(value)?),
        "mode" => {
            options.cycle = match value {
                "cycle" => true,
                "continuous" => false,
                _ => return Err(format!("{value:?} is none of cycle, continuous")),
            }
        }
        "policy" => {
            options.policy = match value {
                "default" => Policy::Default,
                "lru" => Policy::Lru,
                "fail-first" => Policy::FailFirst,
                _ => return Err(format!("{value:?} is none of default, lru, fail-first")),
            }
        }
        "max-concurrency" => options.concurrency_max = number(value)?,
        "per-repo-cap" => options.per_repo_cap = number(value)?,
        "cooldown-s" => options.cooldown = Duration::from_secs(number(value)?),
        "actions-per-hour" => options.actions_per_hour = number(value)?,
        "git" => options.git = number(value)?,
        "logins" => options.logins = one_of(value, ["off", "on"])?,
        "token-life-s" => options.token_ttl_s = number(value)?,
        "rate" => options.rate = number(value)?,
        "warm-up" => options.warmup = one_of(value, ["off", "on"])?,
        "latency" => options.split = one_of(value, ["shared", "split"])?,
        "late" => options.registry_faults.late = number(value)?,
        "fault" => options.registry_faults.drawn.push(drawn(value)?),
        "planted" => {
            let planted = Planted::from_invariant(value);
            options.planted = Some(planted.ok_or("there are S1, S8, S10, L2")?);
        }
        _ => {
            let git = git_classes(&mut options.git_faults);
            let mut class = classes(&mut options.faults).into_iter().chain(git);
            let (_, rate) = class
                .find(|(name, _)| *name == key)
                .ok_or("there is no such key")?;
            *rate = number(value)?;
        }
    }
    Ok(())
}

fn one_of(value: &str, [no, yes]: [&str; 2]) -> Result<bool, String> {
    if value == yes || value == no {
        Ok(value == yes)
    } else {
        Err(format!("{value:?} is none of {no}, {yes}"))
    }
}

/// `CLASS PER-MILLION [on-s N off-s N]`.
fn drawn(value: &str) -> Result<Drawn, String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let (name, per_million, on_s_min, off_s_min) = match words[..] {
        [name, rate] => (name, rate, "0", "0"),
        [name, rate, "on-s", on, "off-s", off] => (name, rate, on, off),
        _ => {
            return Err(format!(
                "{value:?} is no `CLASS PER-MILLION on-s N off-s N`"
            ));
        }
    };
    let class = CLASSES.iter().position(|class| class.name == name);
    Ok(Drawn {
        class: class.ok_or_else(|| format!("there is no class {name:?}"))?,
        per_million: number(per_million)?,
        on_s_min: number(on_s_min)?,
        off_s_min: number(off_s_min)?,
    })
}

/// Decimal or `0x…`.
///
/// # Errors
/// When it is neither.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is no number"))
}

/// The classes of faults by the names that they have in a file.
pub fn classes(faults: &mut Faults) -> [(&'static str, &mut u32); 11] {
    [
        ("server-error", &mut faults.server_error),
        ("throttled", &mut faults.throttled),
        ("stall", &mut faults.stall),
        ("hang", &mut faults.hang),
        ("reset", &mut faults.reset),
        ("truncated", &mut faults.truncated),
        ("reply-lost", &mut faults.patch_reply_lost),
        ("doubled", &mut faults.doubled),
        ("lost", &mut faults.lost),
        ("watch-resets-per-hour", &mut faults.watch_resets_per_hour),
        ("restarts-per-day", &mut faults.restarts_per_day),
    ]
}

/// The classes of faults of Git servers.
pub fn git_classes(faults: &mut GitFaults) -> [(&'static str, &mut u32); 8] {
    [
        ("git-moved-first", &mut faults.moved_first),
        ("git-hook", &mut faults.hook),
        ("git-reply-lost", &mut faults.reply_lost),
        ("git-refused-lost", &mut faults.refused_lost),
        ("git-late", &mut faults.late),
        ("git-status", &mut faults.status),
        ("git-reset", &mut faults.reset),
        ("git-hang", &mut faults.hang),
    ]
}

fn number<N: std::str::FromStr>(value: &str) -> Result<N, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is no number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for seed in 0..50 {
            let mut options = Options::derive(seed, Profile::Swarm, None, None);
            assert_eq!(parse(&to_text(&options)), Ok(options.clone()));
            options.plant(Planted::StaleListing);
            assert_eq!(parse(&to_text(&options)), Ok(options));
        }
    }

    #[test]
    fn a_senseless_line_is_named() {
        for (text, problem) in [
            ("seed", "line 1: \"seed\" is no `key value`"),
            (
                "# x\napps many",
                "line 2: apps: \"many\" is no number that fits",
            ),
            ("colour red", "line 1: colour: there is no such key"),
            (
                "mode often",
                "line 1: mode: \"often\" is none of cycle, continuous",
            ),
        ] {
            assert_eq!(parse(text), Err(problem.to_owned()));
        }
    }
}
