//! R2: what is written follows from a list that its registry served as complete.
//!
//! Lists are put together from the pages that reached the core, page by page along their links; a list
//! of which a page is missing is none.

use std::collections::{BTreeMap, VecDeque};

use image_updater_core::http::{HttpOutcome, HttpResponse};
use image_updater_fixtures::Request;
use serde_json::Value;

use crate::fault::Part;

/// Complete lists that are kept per repository: the last ones may be the ground of a write.
const KEPT_LISTS: usize = 6;
/// Lists under way per repository; of more the oldest is forgotten.
const OPEN_LISTS_MAX: usize = 8;

/// Lists as they were served.
#[derive(Debug, Default)]
pub struct Lists {
    open: BTreeMap<Repository, Vec<Chain>>,
    complete: BTreeMap<Repository, VecDeque<Vec<String>>>,
}

/// Host and path of the tag list.
type Repository = (String, String);

#[derive(Debug)]
struct Chain {
    next: String,
    tags: Vec<String>,
}

impl Lists {
    /// An answer reaches the core.
    pub fn answered(&mut self, asked: &Request, outcome: &HttpOutcome) {
        let HttpOutcome::Response(response) = outcome else {
            return;
        };
        if Part::of(asked) != Part::List || response.status != 200 {
            return;
        }
        let Some(page) = tags(response) else { return };
        let repository = (asked.host.clone(), asked.path().to_owned());
        let open = self.open.entry(repository.clone()).or_default();
        let before = open.iter().rposition(|chain| chain.next == asked.target);
        let mut all = match before {
            Some(at) if asked.query("last").is_some() => open.remove(at).tags,
            // The middle of a list whose beginning was not seen.
            None if asked.query("last").is_some() => return,
            Some(_) | None => Vec::new(),
        };
        all.extend(page);
        if let Some(next) = next(response) {
            if open.len() >= OPEN_LISTS_MAX {
                open.remove(0);
            }
            open.push(Chain { next, tags: all });
        } else {
            let kept = self.complete.entry(repository).or_default();
            if kept.len() >= KEPT_LISTS {
                kept.pop_front();
            }
            kept.push_back(all);
        }
    }

    /// The last complete lists of a repository.
    pub fn of(&self, host: &str, repository: &str) -> impl Iterator<Item = &Vec<String>> {
        let key = (host.to_owned(), format!("/v2/{repository}/tags/list"));
        self.complete.get(&key).into_iter().flatten()
    }
}

fn tags(response: &HttpResponse) -> Option<Vec<String>> {
    let page: Value = serde_json::from_slice(&response.body).ok()?;
    let tags = page["tags"].as_array()?;
    let names = tags.iter().filter_map(Value::as_str).map(str::to_owned);
    Some(names.collect())
}

fn next(response: &HttpResponse) -> Option<String> {
    let (target, _) = response
        .header("link")?
        .strip_prefix('<')?
        .split_once('>')?;
    Some(target.to_owned())
}
