//! From the core's events to log lines (`ops.md` 18).
//!
//! Told once at the level at which somebody wants to read it: what was changed is information, what a
//! user must mend is an error that names the application, the registry and what to do, everything that
//! is as it should be is for debugging.

use std::sync::Arc;

use image_updater_core::app::IgnoreReason;
use image_updater_core::duration::GoDuration;
use image_updater_core::event::{Event, RunEnd};
use image_updater_core::id::AppKey;
use image_updater_core::publish::{BatchEnd, BatchReport};
use image_updater_core::registry::{CircuitState, Held, RegistryOutcome, ReloadCounts};
use image_updater_core::schedule::{PassName, ScheduleEvent};
use image_updater_core::update::{Change, Counters, Reason, ReasonKind};

use super::{Field, Level, Log};

/// Writes a line, or none, for every event.
#[derive(Debug)]
pub struct Narrator {
    log: Arc<Log>,
    /// Sums over the pass under way.
    pass: Counters,
}

impl Narrator {
    /// A narrator that writes to `log`.
    pub fn new(log: Arc<Log>) -> Self {
        Self {
            log,
            pass: Counters::default(),
        }
    }

    /// Tells what came of a commit for several applications, once and not for each of them.
    fn tell_batch(&self, report: &BatchReport) {
        let (level, what) = match &report.end {
            BatchEnd::Published {
                commit, messages, ..
            } => {
                let said = if messages.is_empty() {
                    String::new()
                } else {
                    format!("; the server says: {}", messages.join("; "))
                };
                (Level::Info, format!("pushed commit {commit}{said}"))
            }
            BatchEnd::Unchanged => (Level::Debug, "nothing to commit".to_owned()),
            BatchEnd::Refused { kind, detail } => {
                let what = format!("could not commit: {}: {detail}", kind.as_str());
                (Level::Warn, what)
            }
            BatchEnd::Unknown { detail } => {
                let what = format!("it is not known whether the push was taken: {detail}");
                (Level::Warn, what)
            }
            BatchEnd::NotFound => {
                let what = "the push whose answer was lost was not taken".to_owned();
                (Level::Info, what)
            }
        };
        let applications = i64::try_from(report.applications).unwrap_or(i64::MAX);
        let fields = [
            Field::new("repository", &*report.repository),
            Field::new("branch", &*report.branch),
            Field::new("applications", applications),
        ];
        self.log.record(level, &what, &fields);
    }

    /// Tells one event.
    pub fn tell(&mut self, event: &Event) {
        match event {
            Event::ApplicationConsidered { key, images } => {
                let images = i64::try_from(*images).unwrap_or(i64::MAX);
                self.about(
                    Level::Debug,
                    key,
                    "application takes part",
                    &[Field::new("images", images)],
                );
            }
            Event::ApplicationIgnored { key, reason } => self.tell_ignored(key, reason),
            Event::ApplicationMalformed { key, problems } => {
                for problem in problems {
                    let message = format!("{}: {}", problem.path, problem.detail);
                    self.about(Level::Error, key, &message, &[]);
                }
            }
            Event::ApplicationDeleted { key } => {
                self.about(Level::Debug, key, "application is gone", &[]);
            }
            Event::ApplicationRefused {
                key,
                applications_max,
            } => {
                let message = format!(
                    "application is not watched: there are more than {applications_max}; \
                     divide them among several updaters with --match-application-label"
                );
                self.about(Level::Error, key, &message, &[]);
            }
            Event::Synced { considered, listed } => {
                let message = format!(
                    "{listed} application(s) found, considering {considered} annotated \
                     application(s) for update"
                );
                self.log.info(&message, &[]);
            }
            Event::CheckStarted { key, is_warmup } => {
                self.about(
                    Level::Debug,
                    key,
                    "check started",
                    &[Field::new("warmup", *is_warmup)],
                );
            }
            Event::CheckFinished {
                key,
                end,
                counters,
                duration,
                ..
            } => {
                self.add(counters);
                let took = GoDuration::from(*duration).to_string();
                self.tell_end(key, *end, "check finished", &[Field::new("duration", took)]);
            }
            Event::Redecided { key, end, .. } => self.tell_end(key, *end, "decided again", &[]),
            Event::ImageDecided { key, image, reason } => self.tell_image(key, image, reason),
            Event::WriteRefused { key, refusal } => {
                let code = Field::new("reason", refusal.code());
                self.about(Level::Error, key, &refusal.to_string(), &[code]);
            }
            Event::DryRun { key, changes } => {
                let message = format!("dry run: {} change(s) would be written", changes.len());
                self.about(Level::Info, key, &message, &[]);
                self.tell_changes(key, "would set image", changes);
            }
            Event::Written { key, changes } => {
                self.tell_changes(key, "set image", changes);
                let message = format!("Successfully updated application '{}'", key.name);
                self.about(Level::Info, key, &message, &[]);
            }
            Event::Published {
                key,
                changes,
                branch,
                commit,
            } => {
                self.tell_changes(key, "set image", changes);
                let message = format!("Successfully updated application '{}'", key.name);
                let fields = [
                    Field::new("branch", &**branch),
                    Field::new("commit", commit.to_string()),
                ];
                self.about(Level::Info, key, &message, &fields);
            }
            Event::AlreadyPublished { key, branch } => {
                let message =
                    "target parameter file and marshaled data are the same, skipping commit.";
                self.about(
                    Level::Debug,
                    key,
                    message,
                    &[Field::new("branch", &**branch)],
                );
            }
            Event::Batch(report) => self.tell_batch(report),
            Event::MessageNotRendered { key, detail } => {
                self.about(Level::Warn, key, detail, &[]);
            }
            Event::WriteFailed {
                key,
                detail,
                is_repeated,
            } => {
                let level = if *is_repeated {
                    Level::Warn
                } else {
                    Level::Error
                };
                let message = format!("could not update application: {detail}");
                self.about(
                    level,
                    key,
                    &message,
                    &[Field::new("repeated", *is_repeated)],
                );
            }
            Event::OperationStalled { op } => {
                let message = format!(
                    "operation {} is not answered, not even when cancelled",
                    op.0
                );
                self.log.error(&message, &[]);
            }
            Event::Schedule(event) => self.tell_schedule(event),
            Event::Registry(outcome) => self.tell_registry(outcome),
            Event::RegistriesReloaded {
                counts,
                applications,
            } => self.tell_reloaded(counts, *applications),
            Event::RegistriesRefused { problems } => {
                let message = format!("registries are not replaced: {}", problems.join("; "));
                self.log.warn(&message, &[]);
            }
            Event::ShutdownBegun { operations } => {
                let message = format!("shutting down, waiting for {operations} write(s)");
                self.log.info(&message, &[]);
            }
            Event::Stopped { abandoned: 0 } => self.log.info("stopped", &[]),
            Event::Stopped { abandoned } => {
                let message = format!("stopped with {abandoned} write(s) unanswered");
                self.log.warn(&message, &[]);
            }
        }
    }

    fn tell_reloaded(&self, counts: &ReloadCounts, applications: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let changed = counts.changed + counts.adapted;
        self.log.info(
            "registries reloaded",
            &[
                Field::new("registries", number(counts.registries)),
                Field::new("added", number(counts.added)),
                Field::new("changed", number(changed)),
                Field::new("removed", number(counts.removed)),
                Field::new("applications", number(applications)),
            ],
        );
    }

    fn tell_ignored(&self, key: &AppKey, reason: &IgnoreReason) {
        let level = match reason {
            IgnoreReason::NoImageList => Level::Trace,
            IgnoreReason::UnsupportedType(_) => Level::Warn,
            IgnoreReason::NameNotMatched => Level::Debug,
        };
        self.about(level, key, &format!("skipping application: {reason}"), &[]);
    }

    fn tell_end(&self, key: &AppKey, end: RunEnd, message: &str, fields: &[Field<'_>]) {
        let level = match end {
            RunEnd::Success | RunEnd::Failure | RunEnd::Abandoned => Level::Debug,
            RunEnd::DeadlineExceeded => Level::Error,
        };
        let mut all = vec![Field::new("end", end.as_str())];
        all.extend_from_slice(fields);
        self.about(level, key, message, &all);
    }

    fn tell_image(&self, key: &AppKey, image: &str, reason: &Reason) {
        let level = match reason.kind() {
            // The write tells it, or the dry run does.
            ReasonKind::Updated | ReasonKind::Skipped | ReasonKind::Quiet => Level::Debug,
            ReasonKind::Error => Level::Error,
        };
        let fields = [
            Field::new("image_name", image),
            Field::new("reason", reason.code()),
        ];
        self.about(level, key, &reason.to_string(), &fields);
    }

    fn tell_changes(&self, key: &AppKey, message: &str, changes: &[Change]) {
        for change in changes {
            let fields = [
                Field::new("image_name", change.image.full_name()),
                Field::new("image_alias", change.image.alias.as_str()),
                Field::new("old_tag", change.old.to_string()),
                Field::new("image_tag", change.new.to_string()),
            ];
            self.about(Level::Info, key, message, &fields);
        }
    }

    fn tell_schedule(&mut self, event: &ScheduleEvent) {
        match event {
            ScheduleEvent::PassStarted { name, applications } => {
                self.pass = Counters::default();
                let message = match name {
                    PassName::Warmup => "warm-up started",
                    PassName::Cycle => "starting image update cycle",
                };
                let applications = i64::try_from(*applications).unwrap_or(i64::MAX);
                self.log
                    .info(message, &[Field::new("applications", applications)]);
            }
            ScheduleEvent::PassEnded {
                name,
                duration,
                totals,
            } => {
                let message = match name {
                    PassName::Warmup => "warm-up finished",
                    PassName::Cycle => "processing results",
                };
                let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let fields = [
                    Field::new("applications", number(totals.started)),
                    Field::new("images_considered", number(self.pass.n_considered)),
                    Field::new("images_skipped", number(self.pass.n_skipped)),
                    Field::new("images_updated", number(self.pass.n_updated)),
                    Field::new("errors", number(self.pass.n_errors)),
                    Field::new("deferred", number(totals.deferred)),
                    Field::new("duration", GoDuration::from(*duration).to_string()),
                ];
                self.log.info(message, &fields);
            }
        }
    }

    fn tell_registry(&self, outcome: &RegistryOutcome) {
        match outcome {
            RegistryOutcome::CredentialFailed {
                endpoint, reason, ..
            } => {
                self.log
                    .error(reason, &[Field::new("registry", &**endpoint)]);
            }
            RegistryOutcome::Throttled { endpoint, held, .. } => {
                let message = match held {
                    Held::Everybody => "registry asks to be left alone, its checks wait",
                    Held::Account(_) => {
                        "registry asks to be left alone, checks with this credential wait"
                    }
                };
                self.log
                    .warn(message, &[Field::new("registry_url", &**endpoint)]);
            }
            RegistryOutcome::QuotaLow {
                endpoint, quota, ..
            } => {
                let message = "registry allows few more pulls: log in, or raise the interval";
                let (remaining, limit) = (quota.remaining.to_string(), quota.limit.to_string());
                let fields = [
                    Field::new("registry_url", &**endpoint),
                    Field::new("remaining", &*remaining),
                    Field::new("limit", &*limit),
                ];
                self.log.warn(message, &fields);
            }
            RegistryOutcome::PortsExhausted { failures } => {
                let message = "no local ports are left for connections to registries";
                let failures = failures.to_string();
                self.log
                    .error(message, &[Field::new("failures", &*failures)]);
            }
            RegistryOutcome::PortsRecovered => {
                self.log.info("local ports are to be had again", &[]);
            }
            RegistryOutcome::RetryRefused { endpoint, kind } => {
                let fields = [
                    Field::new("registry_url", &**endpoint),
                    Field::new("kind", kind.as_str()),
                ];
                let message = "registry fails too often, request is not tried again";
                self.log.debug(message, &fields);
            }
            RegistryOutcome::Stalled { endpoint } => {
                let message = "a request to this registry never ends: it is closed until it does";
                self.log
                    .error(message, &[Field::new("registry_url", &**endpoint)]);
            }
            RegistryOutcome::Reopened { endpoint } => {
                let message = "the hanging request has ended: the registry is open again";
                self.log
                    .info(message, &[Field::new("registry_url", &**endpoint)]);
            }
            RegistryOutcome::Retried { endpoint, op, kind } => {
                let fields = [
                    Field::new("registry_url", &**endpoint),
                    Field::new("op", op.as_str()),
                    Field::new("kind", kind.as_str()),
                ];
                self.log.debug("registry request is tried again", &fields);
            }
            RegistryOutcome::CircuitChanged {
                endpoint,
                source,
                state,
            } => {
                let login = source
                    .as_ref()
                    .map_or_else(|| "anonymous".to_owned(), ToString::to_string);
                let fields = [
                    Field::new("registry_url", &**endpoint),
                    Field::new("credential", login),
                ];
                match state {
                    CircuitState::Open { .. } => self.log.warn(
                        "registry refuses this login: requests with it are stopped for a while",
                        &fields,
                    ),
                    CircuitState::HalfOpen => self.log.info(
                        "one request is sent to see whether the login is accepted",
                        &fields,
                    ),
                    CircuitState::Closed => {
                        self.log.info("registry accepts this login again", &fields);
                    }
                }
            }
            // For metrics; and the listings of each image are told with its decision.
            RegistryOutcome::RequestSent { .. }
            | RegistryOutcome::RequestFinished { .. }
            | RegistryOutcome::Observed(_)
            | RegistryOutcome::PaceChanged { .. }
            | RegistryOutcome::SlotsChanged { .. }
            | RegistryOutcome::QuotaCounted { .. }
            | RegistryOutcome::ListingFinished { .. }
            | RegistryOutcome::FactsFinished { .. } => {}
        }
    }

    fn about(&self, level: Level, key: &AppKey, message: &str, fields: &[Field<'_>]) {
        if !self.log.is_enabled(level) {
            return;
        }
        let mut all = vec![
            Field::new("application", &*key.name),
            Field::new("namespace", &*key.namespace),
        ];
        all.extend_from_slice(fields);
        self.log.record(level, message, &all);
    }

    const fn add(&mut self, counters: &Counters) {
        self.pass.n_considered += counters.n_considered;
        self.pass.n_skipped += counters.n_skipped;
        self.pass.n_updated += counters.n_updated;
        self.pass.n_errors += counters.n_errors;
    }
}

#[cfg(test)]
mod tests {
    use image_updater_core::image::{Image, Tag};
    use image_updater_core::time::UnixTime;
    use image_updater_core::update::FailureKind;

    use super::*;
    use crate::telemetry::{LogFormat, Page, Sink};

    #[test]
    fn an_update_is_told_with_old_and_new_tag() {
        let image = Image::parse("web=r.test/org/web:1.1.0");
        let tag = |name: &str| Tag {
            name: name.into(),
            digest: String::new(),
        };
        let changes = vec![Change {
            image,
            old: tag("1.0.0"),
            new: tag("1.1.0"),
        }];
        let told = tell(
            Level::Info,
            &Event::Written {
                key: key(),
                changes,
            },
        );
        assert_eq!(
            told,
            "time=\"1970-01-01T00:00:00Z\" level=info msg=\"set image\" application=web \
             namespace=argocd image_name=r.test/org/web image_alias=web old_tag=1.0.0 \
             image_tag=1.1.0\n\
             time=\"1970-01-01T00:00:00Z\" level=info msg=\"Successfully updated application 'web'\" \
             application=web namespace=argocd\n"
        );
    }

    #[test]
    fn a_failed_lookup_is_an_error_with_its_code_and_an_up_to_date_image_is_quiet() {
        let reason = Reason::of_failure(FailureKind::Listing, "r.test refuses");
        let told = tell(Level::Info, &decided(reason));
        assert!(
            told.contains("level=error") && told.contains("r.test refuses"),
            "{told}"
        );
        assert!(told.contains("reason=listing-failed"), "{told}");
        assert_eq!(tell(Level::Info, &decided(Reason::NotLive)), "");
    }

    fn decided(reason: Reason) -> Event {
        Event::ImageDecided {
            key: key(),
            image: "web=r.test/org/web".into(),
            reason,
        }
    }

    fn key() -> AppKey {
        AppKey::new("argocd", "web")
    }

    fn tell(level: Level, event: &Event) -> String {
        let page = Page::default();
        let sink = || Sink::plain(page.clone());
        let log = Log::new(
            level,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            sink(),
            sink(),
        );
        Narrator::new(Arc::new(log)).tell(event);
        page.to_text()
    }
}
