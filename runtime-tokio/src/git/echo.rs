//! Servers that repeat what they were shown: their words are then left out of what is told.

use image_updater_core::git::{Finished, Outcome};
use image_updater_core::secret::Secret;

use crate::http::percent_decoded;

/// Shorter texts are no secrets, and stand in every sentence.
const SECRET_BYTES_MIN: usize = 4;
const NOT_SHOWN: &str = "not shown, since it repeats a secret";

/// Adds a secret.
pub(super) fn add(shown: &mut Vec<String>, secret: &str) {
    let secret = secret.trim_end_matches('=');
    if secret.len() >= SECRET_BYTES_MIN && !shown.iter().any(|known| known == secret) {
        shown.push(secret.to_owned());
    }
}

/// The password of a proxy, as it is written and as it is meant.
pub(super) fn of_proxy(proxy: &Secret) -> Vec<String> {
    let mut shown = Vec::new();
    let url = proxy.reveal();
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let password = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'));
    if let Some((_, password)) = password {
        add(&mut shown, password);
        add(
            &mut shown,
            &String::from_utf8_lossy(&percent_decoded(password)),
        );
    }
    shown
}

/// Takes out of an outcome every text that holds one of `secrets`.
pub(super) fn remove(finished: &mut Finished, secrets: &[String]) {
    let check = |text: &mut String| {
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            NOT_SHOWN.clone_into(text);
        }
    };
    match &mut finished.outcome {
        Outcome::Published { messages, .. } => messages.iter_mut().for_each(check),
        Outcome::Refused(refusal) => {
            check(&mut refusal.text);
            refusal.messages.iter_mut().for_each(check);
        }
        Outcome::Unknown { detail, .. } => check(detail),
        Outcome::Read(_) | Outcome::Unchanged { .. } | Outcome::Inspected { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_updater_core::git::{Known, Refusal, RefusalKind};

    #[test]
    fn words_that_repeat_a_secret_are_left_out() {
        let mut secrets = of_proxy(&Secret::new("http://u:hu%40sh@p"));
        add(&mut secrets, "YWxpY2U6aHVzaA==");
        add(&mut secrets, "abc");
        let check = |text: &str, is_shown: bool| {
            let mut refusal = Refusal::new(RefusalKind::ServerFailed, text);
            refusal.messages.push(text.to_owned());
            let mut finished = Finished {
                outcome: Outcome::Refused(refusal),
                known: Known::default(),
            };
            remove(&mut finished, &secrets);
            let shown = if is_shown { text } else { NOT_SHOWN };
            let mut expected = Refusal::new(RefusalKind::ServerFailed, shown);
            expected.messages.push(shown.to_owned());
            assert_eq!(finished.outcome, Outcome::Refused(expected), "{text}");
        };
        check("you sent authorization: Basic YWxpY2U6aHVzaA==", false);
        check("CONNECT by u:hu%40sh", false);
        check("hu@sh", false);
        check("abc is short", true);
        check("no such repository", true);
    }
}
