//! Secrets in every source of credentials, marked with words that must come out nowhere: not in logs,
//! errors, metrics, explanations, events or debug prints, plain or in the forms in which they travel.
//!
//! Each source also proves that it was read, so that no test passes by looking at nothing.

mod core;
mod program;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A secret and what proves that it was read.
struct Canary {
    /// Where it is planted.
    source: &'static str,
    text: &'static str,
    proof: Proof,
}

/// What proves that a source was read.
enum Proof {
    /// A server was shown the secret.
    Shown,
    /// This was said, for secrets that are not as they are to be.
    Said(&'static str),
}

/// Requires that no canary is in `text`, in no form.
#[track_caller]
fn expect_no(canaries: &[Canary], what: &str, text: &str) {
    for canary in canaries {
        for form in forms(canary.text) {
            if let Some(at) = text.find(&form) {
                let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
                let end = text[at..].find('\n').map_or(text.len(), |len| at + len);
                panic!(
                    "{what} shows the secret of {}: {:.2000}",
                    canary.source,
                    &text[line..end]
                );
            }
        }
    }
}

/// Requires that every source was read: `shown` is what servers were shown, `said` what was told.
#[track_caller]
fn expect_read(canaries: &[Canary], shown: &str, said: &str) {
    for canary in canaries {
        let is_read = match canary.proof {
            Proof::Shown => shown.contains(canary.text),
            Proof::Said(part) => said.contains(part),
        };
        assert!(is_read, "{} was not read: {said}", canary.source);
    }
}

/// A secret as it stands, in base64 behind none, one and two bytes, in an URL, and cut off.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned(), text[..text.len() - 3].to_owned()];
    for before in ["", "x", "xx"] {
        let encoded = STANDARD.encode(format!("{before}{text}"));
        // Neither what the bytes before decide, nor what those behind do.
        let begin = [0, 2, 3][before.len()];
        let end = encoded.len() - 4;
        forms.push(encoded[begin..end].to_owned());
    }
    forms.push(text.replace('+', "%2B"));
    forms
}

#[test]
fn canaries_are_found_in_every_form() {
    let canary = || {
        [Canary {
            source: "here",
            text: "canary+word-1",
            proof: Proof::Shown,
        }]
    };
    for user in ["a", "ab", "abc", "abcd"] {
        let pair = STANDARD.encode(format!("{user}:canary+word-1"));
        for text in [
            pair.as_str(),
            "x canary+word-1 y",
            "password=canary%2Bword-1&",
            "canary+wor...",
        ] {
            let found = std::panic::catch_unwind(|| expect_no(&canary(), "a text", text));
            assert!(found.is_err(), "{text}");
        }
    }
    expect_no(&canary(), "a text", "canary");
}
