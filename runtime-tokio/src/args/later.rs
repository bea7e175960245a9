//! Flags that are accepted although their part comes later in the product.

use super::run_settings::RunSettings;
use super::value::Values;

/// A part of the product that this build lacks, and the flags that were set for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaterPart {
    /// What is missing, as in `the webhook server`.
    pub part: &'static str,
    /// Names of the flags that were set to something else than their default.
    pub flags: Vec<&'static str>,
}

/// The parts whose flags were set to something else than their default.
pub(super) fn parts_set(values: &Values) -> Vec<LaterPart> {
    let mut parts: Vec<LaterPart> = Vec::new();
    for held in values.iter().filter(|held| held.is_changed()) {
        let Some(part) = held.flag.later else {
            continue;
        };
        match parts.iter_mut().find(|known| known.part == part) {
            Some(known) => known.flags.push(held.flag.name),
            None => parts.push(LaterPart {
                part,
                flags: vec![held.flag.name],
            }),
        }
    }
    parts
}

/// One sentence per part of the product that was asked for and comes later, to be logged at start.
pub fn later_flags(settings: &RunSettings) -> Vec<String> {
    let mut notices: Vec<String> = settings
        .later
        .iter()
        .map(|later| {
            let flags: Vec<_> = later.flags.iter().map(|flag| format!("--{flag}")).collect();
            let have = if flags.len() == 1 { "has" } else { "have" };
            format!(
                "{} is not part of this build yet: {} {have} no effect",
                later.part,
                flags.join(", ")
            )
        })
        .collect();
    for (server, flag, port) in [
        ("health", "health-port", settings.effective_health_port()),
        ("metrics", "metrics-port", settings.metrics_port),
    ] {
        if port != 0 {
            notices.push(format!(
                "the {server} server is not part of this build yet: --{flag} has no effect, \
                 port {port} stays closed"
            ));
        }
    }
    notices
}
