//! What `test` answers with: lines of the log and a table, or one JSON document.

use std::fmt::Write as _;
use std::process::ExitCode;

use image_updater_core::image::Strategy;
use image_updater_core::probe::Probe;
use image_updater_core::rfc3339::Rfc3339;
use image_updater_core::update::{Reason, ReasonKind, TagCounts};
use serde_json::{Value, json};

use crate::args::{Output, TestSettings};
use crate::telemetry::Log;

/// Tells what a look-up came to; failure is what leaves the question open.
pub(super) fn tell(
    probe: &Probe,
    settings: &TestSettings,
    log: &Log,
    mut print: impl FnMut(&str),
) -> ExitCode {
    let reason = probe.reason().expect("the look-up has ended");
    if let Some(counts) = counts_of(reason) {
        let message = format!(
            "Found {} tags in registry, of which {} may be chosen from",
            counts.n_listed, counts.n_usable
        );
        log.info(&message, &[]);
    }
    match settings.output {
        Output::Json => print(&format!("{:#}\n", to_json(probe, reason, settings))),
        Output::Text if settings.is_explained => print(&to_table(probe)),
        Output::Text => {}
    }
    let image = probe.image();
    let newest = newest(probe, reason);
    match (reason.kind(), newest) {
        (ReasonKind::Error, _) => {
            let message = format!(
                "could not tell the newest version of {}: {reason}",
                image.entry.full_name()
            );
            log.fatal(&message, &[]);
            return ExitCode::FAILURE;
        }
        (ReasonKind::Updated, Some(newest)) => {
            let message = format!("latest image according to constraint is {newest}");
            log.info(&message, &[]);
        }
        (ReasonKind::Updated | ReasonKind::Quiet | ReasonKind::Skipped, _) => {
            log.info(&format!("no newer version of image found: {reason}"), &[]);
        }
    }
    ExitCode::SUCCESS
}

/// Tells why nothing was looked up, to who reads a document; the log has it line by line.
pub(super) fn tell_defects(
    problems: &[String],
    settings: &TestSettings,
    mut print: impl FnMut(&str),
) {
    match settings.output {
        Output::Json => {
            let document = json!({ "image": settings.image, "error": problems.join("; ") });
            print(&format!("{document:#}\n"));
        }
        Output::Text => {}
    }
}

/// The full reference of the newest image, where one was chosen.
fn newest(probe: &Probe, reason: &Reason) -> Option<String> {
    let chosen = reason.chosen()?;
    let name = probe.image().entry.full_name();
    Some(match probe.image().options.strategy {
        Strategy::Digest if chosen.starts_with("sha256:") => format!("{name}@{chosen}"),
        Strategy::Semver | Strategy::NewestBuild | Strategy::Alphabetical | Strategy::Digest => {
            format!("{name}:{chosen}")
        }
    })
}

fn to_json(probe: &Probe, reason: &Reason, settings: &TestSettings) -> Value {
    let image = probe.image();
    let place = probe.place();
    let mut document = json!({
        "image": settings.image,
        "registry": place.map(|(endpoint, _)| json!({
            "name": endpoint.settings().name,
            "api_url": endpoint.settings().api_url,
        })),
        "repository": place.map(|(_, repository)| repository),
        "strategy": image.options.strategy.as_str(),
        "constraint": image.constraint(),
        "platforms": image.options.platforms.keys().collect::<Vec<_>>(),
        "code": reason.code(),
        "message": reason.to_string(),
        "error": (reason.kind() == ReasonKind::Error).then(|| reason.to_string()),
        "is_newer": reason.kind() == ReasonKind::Updated,
        "newest": newest(probe, reason),
        "counts": counts_of(reason).map(|counts| json!({
            "listed": counts.n_listed,
            "not_allowed": counts.n_not_allowed,
            "ignored": counts.n_ignored,
            "unusable": counts.n_unusable,
            "usable": counts.n_usable,
            "eligible": counts.n_eligible,
        })),
    });
    if settings.is_explained {
        let mut tags = Vec::new();
        probe.for_each_tag(|report| {
            tags.push(json!({
                "tag": report.tag,
                "code": report.verdict.code(),
                "detail": report.verdict.to_string(),
                "created": report.created.map(|at| Rfc3339(at).to_string()),
            }));
        });
        document["tags"] = Value::Array(tags);
    }
    document
}

/// One line per tag: name, code, build time where it counts, and why.
fn to_table(probe: &Probe) -> String {
    let mut rows = Vec::new();
    probe.for_each_tag(|report| {
        let created = report.created.map(|at| Rfc3339(at).to_string());
        rows.push([
            printable(report.tag),
            report.verdict.code().to_owned(),
            created.unwrap_or_default(),
            printable(&report.verdict.to_string()),
        ]);
    });
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut table = String::new();
    for [tag, code, created, detail] in &rows {
        let mut line = format!("{tag:0$}  {code:1$}  ", widths[0], widths[1]);
        if widths[2] > 0 {
            write!(line, "{created:0$}  ", widths[2]).expect("writing to a String succeeds");
        }
        line.push_str(detail);
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// What a registry says, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        })
        .collect()
}

fn counts_of(reason: &Reason) -> Option<TagCounts> {
    match reason {
        Reason::Updated { counts, .. }
        | Reason::UpToDate { counts, .. }
        | Reason::NoTagAllowed { counts }
        | Reason::NoVersions { counts }
        | Reason::NoUsableTag { counts }
        | Reason::NoneInConstraint { counts, .. } => Some(*counts),
        Reason::AlreadyInSpec { .. }
        | Reason::SharedTarget { .. }
        | Reason::Refused { .. }
        | Reason::NotLive
        | Reason::NotLookedUp
        | Reason::NoTags
        | Reason::TagNotFound { .. }
        | Reason::RunningTagNotAVersion { .. }
        | Reason::InvalidConstraint { .. }
        | Reason::NoConstraintTag
        | Reason::InvalidOption(_)
        | Reason::LookupFailed(..)
        | Reason::ListingIncomplete
        | Reason::CandidatesUnread { .. }
        | Reason::WrongSourceType { .. }
        | Reason::Hydrated
        | Reason::NoSource
        | Reason::SourceUnreadable { .. } => None,
    }
}
