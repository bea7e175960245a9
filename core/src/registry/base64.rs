//! Base64 as credentials and signed manifests use it: both alphabets, padding whole or absent.

use alloc::string::String;
use alloc::vec::Vec;

use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

const PADDED: GeneralPurpose = reader(DecodePaddingMode::RequireCanonical);
const BARE: GeneralPurpose = reader(DecodePaddingMode::RequireNone);

/// Encodes with the standard alphabet and padding, as `Authorization: Basic` wants it.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes either alphabet, with or without padding; CR and LF are ignored
/// (`registry.md` 4.3). `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let standard = |byte: u8| match byte {
        b'\r' | b'\n' => None,
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ => Some(byte),
    };
    let digits: Vec<u8> = text.bytes().filter_map(standard).collect();
    let reader = if digits.ends_with(b"=") { PADDED } else { BARE };
    reader.decode(digits).ok()
}

/// Writers that leave something in the bits behind the last byte are read all the same.
const fn reader(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, config)
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
        assert_eq!(decode("Zh==").as_deref(), Some(&b"f"[..]));
        assert_eq!(decode("Zg=\r\n=").as_deref(), Some(&b"f"[..]));
        assert_eq!(decode("Zm9v\nOmJhcg").as_deref(), Some(&b"foo:bar"[..]));
        for bad in ["%%%", "A", "Zm9v=", "Zm=v", "Zg===", "Zg=", "=", " "] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
