//! The demo's output: aligned lines, coloured on a terminal, plain in a pipe.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use crate::args::Environment;

/// Where the demo is written down.
pub(super) struct Paper {
    out: Mutex<Box<dyn io::Write + Send>>,
    has_colours: bool,
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ink {
    /// Like everything else.
    Plain,
    /// A heading.
    Bold,
    /// Something that held, or changed as it should.
    Green,
    /// Something that did not hold.
    Red,
    /// What explains the rest.
    Faint,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Green => "32",
            Self::Red => "31",
            Self::Faint => "2",
        }
    }
}

impl Paper {
    /// Standard output. Colours need a terminal that has some, and no wish to the contrary in
    /// `NO_COLOR` or `ENABLE_LOG_COLORS`.
    pub(super) fn to_stdout(environment: &Environment) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self {
            has_colours: is_terminal && wants_colours(environment),
            out: Mutex::new(Box::new(stdout)),
        }
    }

    /// Something else than standard output, plain.
    #[cfg(test)]
    pub(super) fn plain_to(out: impl io::Write + Send + 'static) -> Self {
        Self {
            has_colours: false,
            out: Mutex::new(Box::new(out)),
        }
    }

    /// Writes one line made of pieces.
    pub(super) fn line(&self, pieces: &[(Ink, &str)]) {
        let mut text = String::new();
        for (ink, piece) in pieces {
            if self.has_colours && *ink != Ink::Plain && !piece.is_empty() {
                text.extend(["\x1b[", ink.code(), "m", piece, "\x1b[0m"]);
            } else {
                text.push_str(piece);
            }
        }
        let mut line = text.trim_end().to_owned();
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away does not end the demo.
        drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
    }

    /// Writes a line without any colour.
    pub(super) fn plain(&self, text: &str) {
        self.line(&[(Ink::Plain, text)]);
    }

    /// Writes a heading after an empty line.
    pub(super) fn heading(&self, title: &str, rest: &str) {
        self.plain("");
        self.line(&[(Ink::Bold, title), (Ink::Plain, "  "), (Ink::Plain, rest)]);
    }

    /// Writes that something is as expected, or not.
    pub(super) fn verdict(&self, holds: bool, pieces: &[(Ink, &str)]) {
        let mark = if holds {
            (Ink::Green, "  ok      ")
        } else {
            (Ink::Red, "  FAILED  ")
        };
        let line: Vec<_> = std::iter::once(mark)
            .chain(pieces.iter().copied())
            .collect();
        self.line(&line);
    }

    /// Writes why the demo cannot go on.
    pub(super) fn failure(&self, message: &str) {
        self.line(&[(Ink::Red, "the demo failed: "), (Ink::Plain, message)]);
    }
}

fn wants_colours(environment: &Environment) -> bool {
    // The demo has no log in which to remark on a variable that is neither true nor false.
    let is_on = environment.bool_or("ENABLE_LOG_COLORS", true, &mut Vec::new());
    is_on && environment.text("NO_COLOR").is_none() && environment.text("TERM") != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_where_somebody_says_so() {
        let check = |variables: &[(&str, &str)], expected: bool| {
            let environment: Environment = variables.iter().copied().collect();
            assert_eq!(wants_colours(&environment), expected, "{variables:?}");
        };
        check(&[], true);
        check(&[("NO_COLOR", "")], true);
        check(&[("NO_COLOR", "1")], false);
        check(&[("ENABLE_LOG_COLORS", "false")], false);
        check(&[("ENABLE_LOG_COLORS", "true")], true);
        check(&[("TERM", "dumb")], false);
    }
}
