//! The log: two sinks, a level, a format.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError, TryLockError};

use image_updater_core::time::UnixTime;

use super::field::Field;
use super::level::{Level, LogFormat};
use super::{json, text};

/// Writes records, from any thread, each as one line and in one write.
///
/// Shared as `Arc<Log>`. Recording never fails and never panics: a sink that cannot be written to
/// loses its records.
pub struct Log {
    level: Level,
    format: LogFormat,
    clock: Box<dyn Fn() -> UnixTime + Send + Sync>,
    /// Records below [`Level::Error`].
    quiet: Mutex<Sink>,
    /// Records from [`Level::Error`].
    loud: Mutex<Sink>,
}

/// Where lines go.
pub struct Sink {
    writer: Box<dyn Write + Send>,
    has_colours: bool,
}

impl Sink {
    /// A sink without colours.
    pub fn plain(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            has_colours: false,
        }
    }

    /// A sink for people at a terminal; colours are used in the text format only.
    pub fn coloured(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            has_colours: true,
        }
    }
}

impl Log {
    /// A log on standard output and standard error, coloured where these are terminals and
    /// `with_colours` holds.
    pub fn to_process_streams(
        level: Level,
        format: LogFormat,
        with_colours: bool,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        let stdout = Sink {
            has_colours: with_colours && io::stdout().is_terminal(),
            writer: Box::new(io::stdout()),
        };
        let stderr = Sink {
            has_colours: with_colours && io::stderr().is_terminal(),
            writer: Box::new(io::stderr()),
        };
        Self::new(level, format, clock, stdout, stderr)
    }

    /// A log that writes records below `error` to `quiet` and the others to `loud`.
    pub fn new(
        level: Level,
        format: LogFormat,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
        quiet: Sink,
        loud: Sink,
    ) -> Self {
        Self {
            level,
            format,
            clock: Box::new(clock),
            quiet: Mutex::new(quiet),
            loud: Mutex::new(loud),
        }
    }

    /// True when records of `level` are written; to spare the making of costly fields.
    pub fn is_enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Writes one record. A fatal one does not end the process: the caller does.
    pub fn record(&self, level: Level, message: &str, fields: &[Field<'_>]) {
        if !self.is_enabled(level) {
            return;
        }
        // Lines carry whole seconds, as collectors of the Go program's lines expect.
        let at = UnixTime::from_secs((self.clock)().as_secs());
        let sink = if level >= Level::Error {
            &self.loud
        } else {
            &self.quiet
        };
        // A panic of another thread inside a write leaves at worst a part of a line behind.
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nobody left to tell when the log itself cannot be written.
        drop(self.write(&mut sink, at, level, message, fields));
    }

    /// Writes an error at any level set, unless the log is being written to: a panic inside of that
    /// must not wait for itself. True when the line was written.
    pub(crate) fn try_error(&self, message: &str) -> bool {
        let mut sink = match self.loud.try_lock() {
            Ok(sink) => sink,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let at = UnixTime::from_secs((self.clock)().as_secs());
        self.write(&mut sink, at, Level::Error, message, &[])
            .is_ok()
    }

    fn write(
        &self,
        sink: &mut Sink,
        at: UnixTime,
        level: Level,
        message: &str,
        fields: &[Field<'_>],
    ) -> io::Result<()> {
        let mut line = String::with_capacity(160);
        match self.format {
            LogFormat::Json => json::append(&mut line, at, level, message, fields),
            LogFormat::Text if sink.has_colours => {
                text::append_coloured(&mut line, at, level, message, fields);
            }
            LogFormat::Text => text::append_plain(&mut line, at, level, message, fields),
        }
        sink.writer.write_all(line.as_bytes())?;
        sink.writer.flush()
    }

    /// Writes a record for finding mistakes.
    pub fn debug(&self, message: &str, fields: &[Field<'_>]) {
        self.record(Level::Debug, message, fields);
    }

    /// Writes a record of what was done.
    pub fn info(&self, message: &str, fields: &[Field<'_>]) {
        self.record(Level::Info, message, fields);
    }

    /// Writes a record that somebody should look at when convenient.
    pub fn warn(&self, message: &str, fields: &[Field<'_>]) {
        self.record(Level::Warn, message, fields);
    }

    /// Writes a record of a failure.
    pub fn error(&self, message: &str, fields: &[Field<'_>]) {
        self.record(Level::Error, message, fields);
    }

    /// Writes the reason why the process ends; the caller ends it.
    pub fn fatal(&self, message: &str, fields: &[Field<'_>]) {
        self.record(Level::Fatal, message, fields);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("level", &self.level)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::Page;
    use super::*;

    const LEVELS: [Level; 6] = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
        Level::Fatal,
    ];

    #[test]
    fn records_go_to_the_stream_of_their_level_when_the_level_is_enabled() {
        for configured in LEVELS {
            for level in LEVELS {
                let (quiet, loud) = record_at(configured, level);
                let is_written = level >= configured;
                assert_eq!(
                    quiet.is_empty(),
                    !is_written || level >= Level::Error,
                    "{level}"
                );
                assert_eq!(
                    loud.is_empty(),
                    !is_written || level < Level::Error,
                    "{level}"
                );
                let line = quiet + &loud;
                let word = format!(" level={} ", level.line_word());
                assert_eq!(line.contains(&word), is_written, "{line}");
            }
        }
    }

    #[test]
    fn json_is_never_coloured() {
        let page = Page::default();
        let sink = || Sink::coloured(page.clone());
        let log = Log::new(
            Level::Info,
            LogFormat::Json,
            || UnixTime::from_secs(0),
            sink(),
            sink(),
        );
        log.info("x", &[]);
        assert!(
            page.to_text().starts_with("{\"time\""),
            "{}",
            page.to_text()
        );
    }

    #[test]
    fn broken_pipe_loses_records_and_nothing_else() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let page = Page::default();
        let log = Log::new(
            Level::Info,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            Sink::plain(Broken),
            Sink::plain(page.clone()),
        );
        log.info("lost", &[]);
        log.error("kept", &[]);
        assert!(page.to_text().contains("kept"), "{}", page.to_text());
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let page = Page::default();
        let sink = || Sink::plain(page.clone());
        let log = Log::new(
            Level::Info,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            sink(),
            sink(),
        );
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| log.info("whole", &[Field::new("n", 1_i64)])));
            }
        });
        let text = page.to_text();
        assert_eq!(text.lines().count(), 400);
        assert!(text.lines().all(|line| line.ends_with("msg=\"whole\" n=1")));
    }

    #[test]
    fn last_words_are_written_at_any_level_unless_the_log_is_in_use() {
        let (quiet, loud) = (Page::default(), Page::default());
        let log = Log::new(
            Level::Fatal,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            Sink::plain(quiet.clone()),
            Sink::plain(loud.clone()),
        );
        assert!(log.try_error("panic at a.rs:1: x"));
        let line = "time=\"1970-01-01T00:00:00Z\" level=error msg=\"panic at a.rs:1: x\"\n";
        assert_eq!(loud.to_text(), line);
        let in_use = log.loud.lock().expect("nobody panicked");
        assert!(!log.try_error("it would wait for itself"));
        drop(in_use);
        assert_eq!(
            (quiet.to_text(), loud.to_text()),
            (String::new(), line.to_owned())
        );
    }

    fn record_at(configured: Level, level: Level) -> (String, String) {
        let (quiet, loud) = (Page::default(), Page::default());
        let log = Log::new(
            configured,
            LogFormat::Text,
            || UnixTime::from_secs(0),
            Sink::plain(quiet.clone()),
            Sink::plain(loud.clone()),
        );
        log.record(level, "x", &[]);
        (quiet.to_text(), loud.to_text())
    }
}
