//! Remarks of the adapters, which have no log at hand, on their way to the log.
//!
//! Only our own remarks pass: libraries speak of connections and headers, which may hold anything.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Level, Log};

/// The first part of the targets of our own remarks.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// Writes every remark made through `tracing` in this crate to a log.
#[derive(Debug)]
pub struct Relay {
    log: Arc<Log>,
}

impl Relay {
    /// A relay to `log`.
    pub fn new(log: Arc<Log>) -> Self {
        Self { log }
    }

    /// Relays all remarks of the process from now on; the first relay of a process stays.
    pub fn install(self) {
        // A second one would be a second run in one process, whose log is the first's.
        drop(tracing::subscriber::set_global_default(self));
    }
}

impl Subscriber for Relay {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.target().split("::").next();
        metadata.is_event()
            && module == Some(OURS)
            && self.log.is_enabled(to_level(*metadata.level()))
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = to_level(*event.metadata().level());
        self.log.record(level, &message.0, &[]);
    }

    // There are no spans: none is enabled.

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The text of a remark.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

fn to_level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use image_updater_core::time::UnixTime;

    use super::*;
    use crate::telemetry::{LogFormat, Page, Sink};

    #[test]
    fn remarks_of_ours_reach_the_log_at_their_level_and_others_do_not() {
        let page = Page::default();
        let sink = || Sink::plain(page.clone());
        let clock = || UnixTime::from_secs(0);
        let log = Log::new(Level::Info, LogFormat::Text, clock, sink(), sink());
        tracing::subscriber::with_default(Relay::new(Arc::new(log)), || {
            let verb = "watch";
            tracing::warn!("grant the verb {verb}");
            tracing::debug!("too quiet");
            tracing::error!(target: "hyper::client", "somebody else's");
            tracing::error_span!("a span").in_scope(|| tracing::info!("within"));
        });
        assert_eq!(
            page.to_text(),
            "time=\"1970-01-01T00:00:00Z\" level=warning msg=\"grant the verb watch\"\n\
             time=\"1970-01-01T00:00:00Z\" level=info msg=\"within\"\n"
        );
    }
}
