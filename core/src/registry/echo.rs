//! Servers that repeat what they were shown: their words are then left out of everything that is told.
//!
//! A server's words go into explanations, logs and events (`registry.md` 5.9), and some servers, and more
//! of the proxies before them, quote the request that they refuse.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::job::{JobId, Task};
use super::{Registry, base64, url};
use crate::http::HttpResponse;
use crate::secret::Secret;

/// What stands for the body of an answer that repeats a secret, in the form of the protocol.
const LEFT_OUT: &[u8] =
    br#"{"errors":[{"message":"its words repeat a secret that it was shown, and are left out"}]}"#;
/// What stands for any other text that holds one.
const NOT_SHOWN: &str = "not shown, since it repeats a secret";
/// Shorter texts are no secrets, and stand in every sentence.
const SECRET_BYTES_MIN: usize = 4;
/// The parameter of a challenge that people are told.
const DESCRIPTION: &str = "error_description";

impl Registry {
    /// Takes the words out of a refusal that repeats what a lookup has shown, or may show.
    pub(super) fn drop_echo(&self, id: JobId, response: &mut HttpResponse) {
        let secrets = self.secrets_of(id);
        if secrets.is_empty() {
            return;
        }
        if is_echoed(&secrets, &String::from_utf8_lossy(&response.body)) {
            response.body = LEFT_OUT.into();
        }
        for (name, value) in &mut response.headers {
            if name == "www-authenticate" && is_echoed(&secrets, value) {
                *value = without_descriptions(value);
            }
        }
    }

    /// A text about a lookup as it may be shown.
    pub(super) fn without_echo<'a>(&self, id: JobId, text: &'a str) -> &'a str {
        if is_echoed(&self.secrets_of(id), text) {
            NOT_SHOWN
        } else {
            text
        }
    }

    /// Every form in which the secrets of a lookup may come back, without blanks; none is short.
    fn secrets_of(&self, id: JobId) -> Vec<Secret> {
        let job = &self.jobs[&id];
        let repository = &self.repositories[&job.repository];
        let token = match &job.task {
            Task::Token(task) => Some(task.token),
            Task::Listing(_) | Task::Facts(_) => repository.token,
        };
        let token = token.and_then(|id| self.tokens.find(id));
        let asker = token.and_then(|entry| entry.asker.as_ref());
        let login = job.login.as_login().or(asker);
        let mut secrets = Vec::new();
        let mut add = |text: &str| {
            let encoded = url::encode_form(&[("", text)]);
            let forms = [
                text,
                base64::encode(text.as_bytes()).trim_end_matches('='),
                encoded.trim_start_matches('='),
            ]
            .map(without_blanks);
            if text.len() >= SECRET_BYTES_MIN {
                secrets.extend(forms.map(Secret::new));
            }
        };
        if let Some(login) = login {
            add(login.password.reveal());
            if login.has_password() {
                add(&format!("{}:{}", login.username, login.password.reveal()));
            }
        }
        let identity = login.and_then(|login| login.identity_token.as_ref());
        let kept = token.and_then(|entry| Some(&entry.kept.as_ref()?.token));
        let refresh = token.and_then(|entry| self.tokens.refresh_token(&entry.key.issuer));
        for token in [identity, kept, refresh].into_iter().flatten() {
            add(token.reveal());
        }
        // Where a redirect leads is often signed.
        let query = job.hop.as_ref().and_then(|hop| hop.url.split_once('?'));
        for (_, value) in query.map_or_else(Vec::new, |(_, query)| url::decode_form(query)) {
            add(&value);
        }
        secrets
    }
}

/// True when `text` holds one of `secrets`: as it stands, or as the text that its escapes mean.
fn is_echoed(secrets: &[Secret], text: &str) -> bool {
    let plain = without_blanks(text);
    let unescaped = plain.contains('\\').then(|| without_escapes(&plain));
    let texts = [Some(plain), unescaped];
    texts
        .iter()
        .flatten()
        .any(|text| secrets.iter().any(|secret| text.contains(secret.reveal())))
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Undoes the escapes of JSON, as far as they stand for one visible character.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.strip_prefix('u').and_then(|after| after.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(symbol) = code.and_then(char::from_u32) {
            plain.push(symbol);
            rest = &after[5..];
        } else {
            let mut symbols = after.chars();
            plain.extend(symbols.next());
            rest = symbols.as_str();
        }
    }
    plain.push_str(rest);
    plain
}

/// A challenge in which no parameter has the name of the description: realm and service are needed.
fn without_descriptions(challenge: &str) -> String {
    // Lower case of ASCII has the same places.
    let lower = challenge.to_ascii_lowercase();
    let mut text = challenge.to_owned();
    let places: Vec<usize> = lower.match_indices(DESCRIPTION).map(|(at, _)| at).collect();
    for at in places.into_iter().rev() {
        text.replace_range(at..at + DESCRIPTION.len(), "left_out");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_secret_is_found_in_every_form_and_other_words_are_kept() {
        let secrets = vec![Secret::new("hu/sh\"é&"), Secret::new("aHUvc2g")];
        for (text, expected) in [
            ("you said hu/sh\"é&, no", true),
            (r#"{"x":"hu\/sh\"é&"}"#, true),
            (r#"{"x":"hu\/sh\u0022\u00e9\u0026"}"#, true),
            ("Basic aHUv\r\n c2g=", true),
            ("hush, denied", false),
            (r"\u12 \", false),
            (r"\ud800 \ué\", false),
            ("", false),
        ] {
            assert_eq!(is_echoed(&secrets, text), expected, "{text}");
        }
        assert!(!is_echoed(&[], "anything"));
    }

    #[test]
    fn a_challenge_keeps_what_is_answered() {
        let line = r#"Bearer realm="https://a/t",Error_Description="hush",service="s""#;
        let expected = r#"Bearer realm="https://a/t",left_out="hush",service="s""#;
        assert_eq!(without_descriptions(line), expected);
    }
}
