//! Conditional listings: a tag list that did not change is not sent again (RFC 9110, 13.1.2).
//!
//! Invariants: only a list that came as one page of its own registry is asked for on a condition, because a
//! first page that did not change says nothing about later ones; the condition is of the same URL and
//! login; and now and then the list is read in full whatever the registry says, so that a broken cache on
//! the way cannot freeze us.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use super::Registry;
use super::job::{JobId, Task};
use super::login::Login;
use crate::http::HttpResponse;
use crate::keyed::fingerprint;
use crate::time::Time;

/// Longest entity tag that is kept.
const ETAG_BYTES_MAX: usize = 256;
/// How often in a row a list may be called unchanged before it is read in full.
const CONFIRMED_MAX: u32 = 30;
/// How long ago a list may have been read in full.
const UNREAD_MAX: Duration = Duration::from_hours(1);

/// What the next listing of a repository may be conditioned on.
#[derive(Debug)]
pub(super) struct Validator {
    etag: Box<str>,
    /// Of the URL that answered with it.
    url: u64,
    /// Of the login that it was shown to; 0 for nobody.
    login: u64,
    /// When the list was last read in full.
    read: Time,
    /// How often in a row it was called unchanged since.
    n_confirmed: u32,
}

impl Validator {
    /// Bytes that it holds.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>() + self.etag.len()
    }

    /// True while the registry's word may be taken instead of the list.
    pub(super) fn is_good(&self, now: Time) -> bool {
        self.n_confirmed < CONFIRMED_MAX && now.since(self.read) < UNREAD_MAX
    }

    /// Counts one more listing that was called unchanged.
    pub(super) fn on_confirmed(&mut self) {
        self.n_confirmed += 1;
    }
}

impl Registry {
    /// The entity tag for a listing's next request, if it may be asked on a condition; notes whether it is.
    pub(super) fn take_condition(
        &mut self,
        id: JobId,
        login: Option<&Arc<Login>>,
    ) -> Option<String> {
        let login = login_of(login);
        let job = self.jobs.get_mut(&id)?;
        let Task::Listing(task) = &mut job.task else {
            return None;
        };
        let repository = self.repositories.get(&job.repository)?;
        let validator = repository.validator.as_deref().filter(|validator| {
            task.is_conditional
                && task.seen.is_empty()
                && job.hop.is_none()
                && job.pinged_for.is_none()
                && repository.listing.is_some()
                && validator.login == login
                && validator.url == fingerprint(task.url.as_bytes())
        });
        task.has_condition = validator.is_some();
        validator.map(|validator| validator.etag.as_ref().into())
    }

    /// What a page that is the whole list may be conditioned on, given how many names it held.
    pub(super) fn validator_of(
        &self,
        id: JobId,
        response: &HttpResponse,
        n_names: u32,
    ) -> Option<Validator> {
        let job = &self.jobs[&id];
        let Task::Listing(task) = &job.task else {
            return None;
        };
        let etag = etag_of(response)?;
        let is_whole = task.seen.len() == 1 && job.hop.is_none() && !is_perhaps_full(n_names);
        is_whole.then(|| Validator {
            etag: etag.into(),
            url: fingerprint(task.url.as_bytes()),
            login: login_of(job.login.as_login()),
            read: self.now.mono,
            n_confirmed: 0,
        })
    }

    /// True when a 304 may be taken for what it says: it was asked for, the list is still kept, and nothing
    /// about the answer speaks of another content.
    pub(super) fn is_confirmed_by(&self, id: JobId, response: &HttpResponse) -> bool {
        let job = &self.jobs[&id];
        let Task::Listing(task) = &job.task else {
            return false;
        };
        let repository = &self.repositories[&job.repository];
        let Some(validator) = &repository.validator else {
            return false;
        };
        let is_same = response.header("etag").is_none()
            || etag_of(response).is_some_and(|etag| opaque(etag) == opaque(&validator.etag));
        let has_link = response.headers_named("link").next().is_some();
        task.has_condition && repository.listing.is_some() && is_same && !has_link
    }
}

fn login_of(login: Option<&Arc<Login>>) -> u64 {
    login.map_or(0, |login| login.fingerprint())
}

/// A page that is exactly full stays as it is when more tags follow behind it; sizes of pages are round
/// numbers.
fn is_perhaps_full(n_names: u32) -> bool {
    n_names > 0 && (n_names.is_multiple_of(10) || n_names.is_multiple_of(64))
}

/// The one entity tag of a response, if it is well-formed and short.
fn etag_of(response: &HttpResponse) -> Option<&str> {
    let mut values = response.headers_named("etag");
    let value = values.next()?.trim();
    if values.next().is_some() || value.len() > ETAG_BYTES_MAX {
        return None;
    }
    let inner = opaque(value).strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = inner
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    is_plain.then_some(value)
}

/// An entity tag without its mark of weakness, which lists are not compared by.
fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    #[test]
    fn only_a_well_formed_entity_tag_is_kept() {
        let long = format!("\"{}\"", "x".repeat(ETAG_BYTES_MAX));
        for (values, expected) in [
            (&["\"abc\""][..], Some("\"abc\"")),
            (&["W/\"abc\""], Some("W/\"abc\"")),
            (&[" \"abc\" "], Some("\"abc\"")),
            (&["\"\""], Some("\"\"")),
            (&["abc"], None),
            (&["w/\"abc\""], None),
            (&["\"a\"b\""], None),
            (&["\"a\", \"b\""], None),
            (&["\"a b\""], None),
            (&["\"\u{e9}\""], None),
            (&["\""], None),
            (&[""], None),
            (&[&long], None),
            (&["\"a\"", "\"b\""], None),
            (&[], None),
        ] {
            let headers: Vec<_> = values
                .iter()
                .map(|value| ("etag".to_string(), value.to_string()))
                .collect();
            let response = HttpResponse {
                headers,
                ..HttpResponse::default()
            };
            assert_eq!(etag_of(&response), expected, "{values:?}");
        }
    }
}
