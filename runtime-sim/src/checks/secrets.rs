//! S19: nothing that is shown holds a secret.
//!
//! Every password, token and signature of a run holds one word, plain or in base64 at any offset.

use super::Violation;
use crate::world::CANARY;

/// The word in base64, with none, one and two bytes before it, without what depends on its neighbours.
const IN_BASE64: [&str; 3] = ["Y2FuYXJ5", "NhbmFye", "jYW5hcn"];

/// Judges a text that is shown.
///
/// # Errors
/// S19 when it holds a secret.
pub fn shown(subject: &str, text: &str) -> Result<(), Violation> {
    let markers = std::iter::once(CANARY).chain(IN_BASE64);
    for marker in markers {
        if let Some(at) = text.find(marker) {
            let from = text[..at]
                .char_indices()
                .rev()
                .nth(60)
                .map_or(0, |(at, _)| at);
            let detail = format!("a secret is shown behind {:?}", &text[from..at]);
            return Err(Violation::new("S19", subject, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image_updater_core::registry::base64;

    use super::*;

    #[test]
    fn a_secret_is_found_plain_and_in_base64_at_every_offset() {
        assert_eq!(shown("x", "token-1 of robot"), Ok(()));
        for user in ["robot", "robot-", "robot-1", "robot-12"] {
            let pair = format!("{user}:{CANARY}-{user}-1");
            let header = format!("Basic {}", base64::encode(pair.as_bytes()));
            for text in [&pair, &header] {
                let found = shown("x", text).expect_err("it holds a password");
                assert_eq!(found.id, "S19", "{text}");
                assert!(!found.detail.contains(CANARY), "{}", found.detail);
            }
        }
    }
}
