//! Base64 as credentials and signed manifests use it: both alphabets, padding optional.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes with the standard alphabet and padding, as `Authorization: Basic` wants it.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = u32::from_be_bytes([
            0,
            chunk[0],
            chunk.get(1).copied().unwrap_or(0),
            chunk.get(2).copied().unwrap_or(0),
        ]);
        for place in 0..4_usize {
            if place > chunk.len() {
                text.push('=');
            } else {
                let index = (word >> (18 - 6 * place)) & 0x3f;
                text.push(char::from(ALPHABET[index as usize]));
            }
        }
    }
    text
}

/// Decodes either alphabet, with or without padding; CR and LF are ignored
/// (`registry.md` 4.3). `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    let mut n_padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => n_padding += 1,
            _ if n_padding > 0 => return None,
            _ => digits.push(digit(byte)?),
        }
    }
    if digits.len() % 4 == 1 || n_padding > 2 {
        return None;
    }
    if n_padding > 0 && !(digits.len() + n_padding).is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let mut word = 0_u32;
        for place in 0..4 {
            word = (word << 6) | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for text in ["", "f", "fo", "foo", "foo:bar", "\u{ff}\u{fe}?>"] {
            assert_eq!(
                decode(&encode(text.as_bytes())).as_deref(),
                Some(text.as_bytes())
            );
        }
        assert_eq!(encode(b"foo:bar"), "Zm9vOmJhcg==");
    }

    #[test]
    fn both_alphabets_line_breaks_and_missing_padding_are_read() {
        assert_eq!(
            decode("Zm9vOj4-Pj8_Pw==").as_deref(),
            Some(&b"foo:>>>???"[..])
        );
        assert_eq!(decode("Zm9v\nOmJhcg").as_deref(), Some(&b"foo:bar"[..]));
        for bad in ["%%%", "A", "Zm9v=", "Zm=v", "Zg==="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
