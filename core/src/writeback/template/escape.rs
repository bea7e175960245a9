//! Texts made safe for HTML, JavaScript and queries, as Go's templates do it.

use super::Fault;
use super::format::Sink;

/// Escapes for HTML.
pub(super) fn html(text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
    for byte in text {
        match byte {
            b'"' => sink.push(b"&#34;")?,
            b'\'' => sink.push(b"&#39;")?,
            b'&' => sink.push(b"&amp;")?,
            b'<' => sink.push(b"&lt;")?,
            b'>' => sink.push(b"&gt;")?,
            0 => sink.push("\u{fffd}".as_bytes())?,
            _ => sink.push(&[*byte])?,
        }
    }
    Ok(())
}

/// Escapes for a text in JavaScript.
pub(super) fn js(text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
    for (char, bytes) in chars(text) {
        match char {
            '\\' => sink.push(b"\\\\")?,
            '\'' => sink.push(b"\\'")?,
            '"' => sink.push(b"\\\"")?,
            '<' | '>' | '&' | '=' | '\0'..'\x20' => push_code(sink, char)?,
            '\x20'..='\x7f' => sink.push(bytes)?,
            _ if is_printable(char) => sink.push(bytes)?,
            _ => push_code(sink, char)?,
        }
    }
    Ok(())
}

fn push_code(sink: &mut Sink, char: char) -> Result<(), Fault> {
    sink.push_fmt(format_args!("\\u{:04X}", u32::from(char)))
}

/// Escapes for a query.
pub(super) fn urlquery(text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                sink.push(&[*byte])?;
            }
            b' ' => sink.push(b"+")?,
            _ => sink.push_fmt(format_args!("%{byte:02X}"))?,
        }
    }
    Ok(())
}

/// Characters with their bytes; a byte that belongs to none is the replacement character.
pub(super) fn chars(text: &[u8]) -> impl Iterator<Item = (char, &[u8])> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let known = valid
            .char_indices()
            .map(move |(at, char)| (char, &valid.as_bytes()[at..at + char.len_utf8()]));
        let unknown = chunk
            .invalid()
            .chunks(1)
            .map(|byte| (char::REPLACEMENT_CHARACTER, byte));
        known.chain(unknown)
    })
}

/// True for letters, marks, numbers, punctuation, symbols and the blank, as Go's `unicode.IsPrint`.
pub(super) fn is_printable(char: char) -> bool {
    // Behind another character nothing is escaped but what cannot be printed and these.
    let mut bytes = [b'a'; 5];
    let length = char.encode_utf8(&mut bytes[1..]).len();
    matches!(char, '\\' | '\'' | '"')
        || core::str::from_utf8(&bytes[..=length])
            .is_ok_and(|text| text.escape_debug().count() == 2)
}
