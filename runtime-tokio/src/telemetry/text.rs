//! Records as `time="…" level=… msg="…" key=value` lines.

use std::fmt::Write as _;

use image_updater_core::rfc3339::Rfc3339;
use image_updater_core::time::UnixTime;

use super::field::{Field, FieldValue};
use super::level::Level;

/// Bytes of one message or value that a line shows; the rest is counted.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// Width to which messages are padded on a terminal, so that fields line up.
const MESSAGE_WIDTH: usize = 44;

/// Appends the line for collectors.
pub(super) fn append_plain(
    line: &mut String,
    at: UnixTime,
    level: Level,
    message: &str,
    fields: &[Field<'_>],
) {
    append(
        line,
        format_args!("time=\"{}\" level={} msg=", Rfc3339(at), level.line_word()),
    );
    append_quoted(line, message);
    for field in fields {
        line.push(' ');
        append_name(line, &field.line_name());
        line.push('=');
        append_value(line, &field.value);
    }
    line.push('\n');
}

/// Appends the line for people at a terminal.
pub(super) fn append_coloured(
    line: &mut String,
    at: UnixTime,
    level: Level,
    message: &str,
    fields: &[Field<'_>],
) {
    let colour = match level {
        Level::Trace | Level::Debug => 37,
        Level::Info => 36,
        Level::Warn => 33,
        Level::Error | Level::Fatal => 31,
    };
    let word = level.word().to_ascii_uppercase();
    append(
        line,
        format_args!("\x1b[{colour}m{word:<5}\x1b[0m[{}] ", Rfc3339(at)),
    );
    let start = line.len();
    append_escaped(line, message, None);
    if !fields.is_empty() {
        let shown = line[start..].chars().count();
        line.extend(std::iter::repeat_n(
            ' ',
            MESSAGE_WIDTH.saturating_sub(shown),
        ));
    }
    for field in fields {
        append(line, format_args!(" \x1b[{colour}m"));
        append_name(line, &field.line_name());
        line.push_str("\x1b[0m=");
        append_value(line, &field.value);
    }
    line.push('\n');
}

fn append(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a String succeeds");
}

fn append_name(line: &mut String, name: &str) {
    if name.is_empty() || name.chars().any(is_quoted) {
        append_quoted(line, name);
    } else {
        line.push_str(name);
    }
}

fn append_value(line: &mut String, value: &FieldValue<'_>) {
    match value {
        FieldValue::Text(text) if text.chars().any(is_quoted) => append_quoted(line, text),
        FieldValue::Text(text) => append_escaped(line, text, None),
        FieldValue::Number(number) => append(line, format_args!("{number}")),
        FieldValue::Bool(yes) => append(line, format_args!("{yes}")),
    }
}

/// True for the characters that make a value be written in quotes.
const fn is_quoted(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | '@' | '^' | '+'))
}

fn append_quoted(line: &mut String, text: &str) {
    line.push('"');
    append_escaped(line, text, Some('"'));
    line.push('"');
}

/// Appends `text` with everything escaped that could end the line, steer a terminal or be mistaken
/// for the end of the quotes.
fn append_escaped(line: &mut String, text: &str, quote: Option<char>) {
    let shown = text.floor_char_boundary(SHOWN_BYTES_MAX);
    for c in text[..shown].chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '"' | '\\' if quote.is_some() => line.extend(['\\', c]),
            '\0'..='\x1f' | '\x7f' => append(line, format_args!("\\x{:02x}", u32::from(c))),
            c if is_hidden(c) => append(line, format_args!("\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    if shown < text.len() {
        append(
            line,
            format_args!("... ({} more bytes)", text.len() - shown),
        );
    }
}

/// True for characters beyond ASCII that break lines, turn the writing direction or do not show.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_only_when_they_need_it() {
        plain(
            "ready",
            &[Field::new("port", 8080_u16)],
            r#"msg="ready" port=8080"#,
        );
        plain(
            "two words",
            &[
                Field::new("image_name", "ghcr.io/a/b"),
                Field::new("tag", "1.0@x^y+z_-"),
            ],
            r#"msg="two words" image_name=ghcr.io/a/b tag=1.0@x^y+z_-"#,
        );
        plain(
            "x",
            &[Field::new("application", "a b")],
            r#"msg="x" application="a b""#,
        );
        plain(
            "x",
            &[Field::new("registry", "h:5000")],
            r#"msg="x" registry="h:5000""#,
        );
        plain(
            "x",
            &[Field::new("remote", ""), Field::new("dry", true)],
            r#"msg="x" remote= dry=true"#,
        );
    }

    #[test]
    fn one_record_is_one_line_whatever_is_in_it() {
        plain("a\nb\r\t\"\\\x1b[31m", &[], r#"msg="a\nb\r\t\"\\\x1b[31m""#);
        plain(
            "\u{2028}\u{202e}\u{85}\u{e9}",
            &[],
            "msg=\"\\u2028\\u202e\\u0085\u{e9}\"",
        );
        plain(
            "x",
            &[Field::new("a\nb", "c\nd")],
            r#"msg="x" "a\nb"="c\nd""#,
        );
        let mut line = String::new();
        append_coloured(
            &mut line,
            UnixTime::from_secs(0),
            Level::Warn,
            "a\n\x1b[2J",
            &[],
        );
        assert_eq!(
            line,
            "\x1b[33mWARN \x1b[0m[1970-01-01T00:00:00Z] a\\n\\x1b[2J\n"
        );
    }

    #[test]
    fn names_of_the_record_itself_are_not_overwritten() {
        plain("x", &[Field::new("msg", "y")], r#"msg="x" fields.msg=y"#);
    }

    #[test]
    fn long_values_are_cut_at_a_character_and_counted() {
        let long = "\u{e9}".repeat(SHOWN_BYTES_MAX);
        let mut line = String::new();
        append_plain(&mut line, UnixTime::from_secs(0), Level::Info, &long, &[]);
        assert!(
            line.ends_with("... (16384 more bytes)\"\n"),
            "{}",
            &line[line.len() - 40..]
        );
        assert!(line.len() < SHOWN_BYTES_MAX + 100, "{}", line.len());
    }

    fn plain(message: &str, fields: &[Field<'_>], want: &str) {
        let mut line = String::new();
        append_plain(
            &mut line,
            UnixTime::from_secs(0),
            Level::Info,
            message,
            fields,
        );
        assert_eq!(
            line,
            format!("time=\"1970-01-01T00:00:00Z\" level=info {want}\n")
        );
    }
}
