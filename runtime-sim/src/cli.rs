//! The command line, as a function from words to text and exit code.

use std::io;

use crate::options::{Options, Planted, Profile};
use crate::script::Script;
use crate::{plan_file, registry_scale, report, run, scale, script};

const USAGE: &str = "\
image-updater-sim: the production core in virtual time

Usage:
  image-updater-sim run [--seed N] [--apps N] [--hours H] [--faultless | --single] [--planted S1|S8|S10|L2] [--once] [--lines N]
  image-updater-sim swarm [--seed N] [--runs N] [--hours H] [--faultless | --single]
  image-updater-sim replay FILE
  image-updater-sim scale [--registry] [--json]

run     one run; twice, and compared, unless --once; a failure shows its last N lines (40)
swarm   many runs with consecutive seeds
replay  the run that a plan file describes, twice, and compared; or a script with its expectations
scale   10,000 applications over 2,000 repositories, measured; with --registry, what registries are
        asked under each strategy, beside what the Go program's scheme asks

Exit codes: 0 ok, 101 panic, 111 safety, 112 liveness, 113 determinism, 114 harness
";

/// Does what `words` ask for and returns the exit code.
///
/// # Errors
/// What `out` or `err` report.
pub fn run(words: &[String], out: &mut impl io::Write, err: &mut impl io::Write) -> io::Result<u8> {
    match Command::parse(words) {
        Ok(Command::Help) => out.write_all(USAGE.as_bytes()).map(|()| 0),
        Ok(Command::Run { options, once }) => {
            let report = if once {
                run::run(&options)
            } else {
                run::run_twice(&options)
            };
            report::write(out, &report).map(|()| code(&report))
        }
        Ok(Command::Script(script)) => {
            let report = script::run_twice(&script);
            script::write(out, &report).map(|()| code(&report.run))
        }
        Ok(Command::Swarm {
            seed,
            runs,
            hours,
            profile,
        }) => swarm(out, seed, runs, hours, profile),
        Ok(Command::RegistryScale { json }) => registry_scale::measure().and_then(|rows| {
            registry_scale::write(out, &rows, json)?;
            let is_within_bounds = rows.iter().all(registry_scale::Row::is_within_bounds);
            Ok(u8::from(!is_within_bounds))
        }),
        Ok(Command::Scale { json }) => scale::measure().and_then(|figures| {
            figures.write(out, json)?;
            Ok(u8::from(!figures.is_within_bounds()))
        }),
        Err(problem) => writeln!(err, "error: {problem}\n\n{USAGE}").map(|()| 1),
    }
}

fn code(report: &run::Report) -> u8 {
    report
        .verdict
        .as_ref()
        .err()
        .map_or(0, |failure| failure.code as u8)
}

fn swarm(
    out: &mut impl io::Write,
    seed: u64,
    runs: u64,
    hours: Option<u32>,
    profile: Profile,
) -> io::Result<u8> {
    let mut worst = 0;
    for seed in seed..seed.saturating_add(runs) {
        let report = run::run(&Options::derive(seed, profile, None, hours));
        report::write(out, &report)?;
        worst = worst.max(code(&report));
    }
    Ok(worst)
}

enum Command {
    Help,
    Run {
        options: Box<Options>,
        once: bool,
    },
    Swarm {
        seed: u64,
        runs: u64,
        hours: Option<u32>,
        profile: Profile,
    },
    Script(Box<Script>),
    Scale {
        json: bool,
    },
    RegistryScale {
        json: bool,
    },
}

impl Command {
    fn parse(words: &[String]) -> Result<Self, String> {
        let Some((command, rest)) = words.split_first() else {
            return Ok(Self::Help);
        };
        let flags = Flags(rest);
        match command.as_str() {
            "run" => {
                flags.only(
                    &["--seed", "--apps", "--hours", "--planted", "--lines"],
                    &["--faultless", "--single", "--once"],
                )?;
                let mut options = Options::derive(
                    flags.seed()?,
                    flags.profile(),
                    flags.number("--apps")?,
                    flags.number("--hours")?,
                );
                if let Some(name) = flags.value("--planted") {
                    let planted = Planted::from_invariant(name);
                    let problem = || format!("--planted: {name:?} is none of S1, S8, S10, L2");
                    options.plant(planted.ok_or_else(problem)?);
                }
                if let Some(lines) = flags.number("--lines")? {
                    options.lines_max = lines;
                }
                Ok(Self::Run {
                    options: Box::new(options),
                    once: flags.has("--once"),
                })
            }
            "swarm" => {
                flags.only(
                    &["--seed", "--runs", "--hours"],
                    &["--faultless", "--single"],
                )?;
                Ok(Self::Swarm {
                    seed: flags.seed()?,
                    runs: flags.number("--runs")?.unwrap_or(100),
                    hours: flags.number("--hours")?,
                    profile: flags.profile(),
                })
            }
            "replay" => {
                let [path] = rest else {
                    return Err("replay wants one file".to_owned());
                };
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                if script::is_script(&text) {
                    let script =
                        script::parse(&text).map_err(|error| format!("{path}: {error}"))?;
                    return Ok(Self::Script(Box::new(script)));
                }
                let options =
                    plan_file::parse(&text).map_err(|error| format!("{path}: {error}"))?;
                Ok(Self::Run {
                    options: Box::new(options),
                    once: false,
                })
            }
            "scale" => {
                flags.only(&[], &["--registry", "--json"])?;
                let json = flags.has("--json");
                Ok(if flags.has("--registry") {
                    Self::RegistryScale { json }
                } else {
                    Self::Scale { json }
                })
            }
            "help" | "--help" | "-h" => Ok(Self::Help),
            other => Err(format!(
                "unknown command {other:?}; there are run, swarm, replay and scale"
            )),
        }
    }
}

/// The words behind the command.
struct Flags<'a>(&'a [String]);

impl<'a> Flags<'a> {
    /// Refuses words that are no flag of the command.
    fn only(&self, valued: &[&str], bare: &[&str]) -> Result<(), String> {
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if valued.contains(&word.as_str()) {
                words
                    .next()
                    .ok_or_else(|| format!("{word} wants a value"))?;
            } else if !bare.contains(&word.as_str()) {
                let all: Vec<&str> = valued.iter().chain(bare).copied().collect();
                return Err(format!(
                    "unknown word {word:?}; accepted are {}",
                    all.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    fn profile(&self) -> Profile {
        if self.has("--faultless") {
            Profile::Faultless
        } else if self.has("--single") {
            Profile::Single
        } else {
            Profile::Swarm
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, String> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("{name}: {text:?} is no number"))
        };
        self.value(name).map(parse).transpose()
    }

    /// Decimal or `0x…`; 1 when not given.
    fn seed(&self) -> Result<u64, String> {
        let Some(text) = self.value("--seed") else {
            return Ok(1);
        };
        plan_file::parse_seed(text).map_err(|problem| format!("--seed: {problem}"))
    }
}
