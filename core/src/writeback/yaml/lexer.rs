//! Where things stand in the text: what the parser's positions leave open is looked up in the bytes.
//!
//! Every function goes forward from a place between two tokens and stops at the end of the text at the latest.

/// Behind blanks, line breaks and comments.
pub(super) fn skip_space(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            // A byte order mark may stand before a document.
            0xef if bytes[at..].starts_with(b"\xef\xbb\xbf") => at += 3,
            b'#' => at = line_end(text, at),
            _ => break,
        }
    }
    at
}

/// Behind what may stand between two tokens: space, and indicators of the structure.
pub(super) fn skip_indicators(text: &str, mut at: usize) -> usize {
    loop {
        at = skip_space(text, at);
        match text.as_bytes().get(at) {
            Some(b':' | b'-' | b'?' | b',') => at += 1,
            _ => return at,
        }
    }
}

/// Behind the one byte `wanted`, if it is the next token.
pub(super) fn skip_byte(text: &str, at: usize, wanted: u8) -> Option<usize> {
    let at = skip_space(text, at);
    (text.as_bytes().get(at) == Some(&wanted)).then_some(at + 1)
}

/// Behind anchors and tags; where the content begins, or where the last of them ends when there is none.
pub(super) fn skip_properties(text: &str, mut at: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let mut end = at;
    while matches!(bytes.get(at), Some(b'&' | b'!')) {
        let is_verbatim = bytes[at..].starts_with(b"!<");
        while let Some(byte) = bytes.get(at) {
            let is_end = match byte {
                b' ' | b'\t' | b'\r' | b'\n' => true,
                b',' | b'[' | b']' | b'{' | b'}' => !is_verbatim,
                _ => false,
            };
            if is_end {
                break;
            }
            at += 1;
        }
        end = at;
        at = skip_space(text, at);
    }
    (at, end)
}

/// Behind the closing quote of a quoted scalar that begins at `at`.
pub(super) fn quoted_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = *bytes.get(at)?;
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote => {
                if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') {
                    at += 2;
                } else {
                    return Some(at + 1);
                }
            }
            _ => at += 1,
        }
    }
}

/// The end of the line, before its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = &text.as_bytes()[at.min(text.len())..];
    let len = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    at + len.unwrap_or(rest.len())
}

/// Behind the line break that stands at `at`.
pub(super) fn break_end(text: &str, at: usize) -> usize {
    let rest = &text.as_bytes()[at.min(text.len())..];
    match rest {
        [b'\r', b'\n', ..] => at + 2,
        [b'\r' | b'\n', ..] => at + 1,
        _ => at,
    }
}

/// True when nothing but blanks follows up to a later line that has a tab among them. Some readers take it for a part
/// of the plain scalar before it, and for an error behind any other.
pub(super) fn is_before_tab_line(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes()[at.min(text.len())..].iter();
    let blanks = bytes.take_while(|byte| byte.is_ascii_whitespace());
    let mut lines = blanks.skip_while(|byte| !matches!(byte, b'\r' | b'\n'));
    lines.any(|byte| *byte == b'\t')
}

/// The start of the line.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    let last = before
        .iter()
        .rposition(|byte| matches!(byte, b'\r' | b'\n'));
    last.map_or(0, |last| last + 1)
}

/// The line break that a new line takes when it stands behind the line of `at`: that line's own, else the one
/// before it.
pub(super) fn line_break(text: &str, at: usize) -> &str {
    let end = line_end(text, at);
    let own = &text[end..break_end(text, end)];
    if !own.is_empty() {
        return own;
    }
    let start = line_start(text, at);
    match text.as_bytes()[..start] {
        [.., b'\r', b'\n'] => "\r\n",
        [.., b'\r'] => "\r",
        _ => "\n",
    }
}
