//! The side band: data, what programs on the server say to people, and the last words of a server.

use alloc::string::String;
use alloc::vec::Vec;

use super::packet::Malformed;

/// Lines kept of what a server says.
pub const MESSAGE_LINES_MAX: usize = 32;
/// Longest such line, in bytes.
pub const MESSAGE_LINE_BYTES_MAX: usize = 512;

/// What a packet of the side band carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Band<'a> {
    /// Data of the protocol.
    Data(&'a [u8]),
    /// Text for people.
    Message(&'a [u8]),
    /// Why the server gives up.
    Fatal(&'a [u8]),
}

/// Reads the band of a packet.
///
/// # Errors
/// When there is no such band.
pub fn read(packet: &[u8]) -> Result<Band<'_>, Malformed> {
    match packet.split_first() {
        Some((1, data)) => Ok(Band::Data(data)),
        Some((2, text)) => Ok(Band::Message(text)),
        Some((3, text)) => Ok(Band::Fatal(text)),
        Some(_) | None => Err(Malformed("a packet of no known side band")),
    }
}

/// What a server said to people: the last lines, each cut, without control characters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Messages {
    lines: Vec<String>,
    line: Vec<u8>,
}

impl Messages {
    /// Takes a piece of text. A carriage return begins its line again, as progress does.
    pub fn handle_bytes(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                b'\n' => self.on_line_end(),
                b'\r' => self.line.clear(),
                _ if self.line.len() < MESSAGE_LINE_BYTES_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn on_line_end(&mut self) {
        let line = to_shown(&self.line);
        self.line.clear();
        if !line.is_empty() {
            if self.lines.len() == MESSAGE_LINES_MAX {
                self.lines.remove(0);
            }
            self.lines.push(line);
        }
    }

    /// The lines, also the one that has no end yet.
    pub fn to_lines(&self) -> Vec<String> {
        let mut all = self.clone();
        all.on_line_end();
        all.lines
    }
}

/// A stranger's text as it may be shown: one line, bounded, without what moves a terminal's cursor.
pub fn to_shown(text: &[u8]) -> String {
    let text = &text[..text.len().min(MESSAGE_LINE_BYTES_MAX)];
    let mut shown = String::new();
    let mut chars = String::from_utf8_lossy(text).into_owned();
    chars = chars.replace('\t', " ");
    let mut rest = chars.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // A colour: the bracket, parameters, and one letter.
            if rest.next_if_eq(&'[').is_some() {
                while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                rest.next();
            }
        } else if !c.is_control() {
            shown.push(c);
        }
    }
    shown.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn what_a_hook_says_is_kept_line_by_line_and_bounded() {
        let mut messages = Messages::default();
        messages.handle_bytes(b"GitLab: \x1b[31mnot\x1b[0m allowed\nCounting: 1%\rCounting: 100%");
        assert_eq!(
            messages.to_lines(),
            ["GitLab: not allowed", "Counting: 100%"]
        );
        for n in 0..1_000 {
            messages.handle_bytes(format!("\nline {n} {}", "x".repeat(2_000)).as_bytes());
        }
        let lines = messages.to_lines();
        assert_eq!(lines.len(), MESSAGE_LINES_MAX);
        assert!(lines.last().unwrap().starts_with("line 999"));
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= MESSAGE_LINE_BYTES_MAX)
        );
    }

    #[test]
    fn other_bands_are_refused() {
        assert_eq!(read(b"\x01abc"), Ok(Band::Data(b"abc")));
        assert_eq!(read(b"\x03no"), Ok(Band::Fatal(b"no")));
        assert!(read(b"\x04abc").is_err());
        assert!(read(b"").is_err());
    }
}
