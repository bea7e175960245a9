//! What is wrong with the registries now: troubles of a script, and drawn ones.

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::registry::base64;
use image_updater_core::time::Time;
use image_updater_fixtures::{Request, Response};

use super::answer::Memory;
use super::{CLASSES, Drawn, Part, Place, RegistryFaults, Trouble, Window};
use crate::entropy::{Entropy, Stream};

/// Tokens whose owner is remembered.
const TOKENS_MAX: usize = 10_000;

/// A trouble that a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    /// Host of the registry.
    pub host: String,
    /// Which requests.
    pub place: Place,
    /// Only requests of this user; empty is everybody.
    pub user: String,
    /// What happens.
    pub trouble: Trouble,
    /// How long it lasts; `None` is to the end.
    pub lasts: Option<Duration>,
    /// How often it happens; `None` is always.
    pub times: Option<u32>,
}

/// What is wrong with the registries.
#[derive(Debug)]
pub struct Troubles {
    seed: u64,
    classes: Vec<Drawn>,
    drawn: BTreeMap<String, Vec<(Window, Entropy)>>,
    scripted: Vec<(Time, Scripted)>,
    memory: Memory,
    /// The page number that a link leads to.
    pages: BTreeMap<(String, String), u32>,
    owners: BTreeMap<String, String>,
}

/// What strikes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What happens.
    pub trouble: Trouble,
    /// The name for the count.
    pub name: &'static str,
    /// How long nothing passes.
    pub clogged: Duration,
}

impl Troubles {
    /// The troubles of a run.
    pub fn new(seed: u64, faults: &RegistryFaults) -> Self {
        Self {
            seed,
            classes: faults.drawn.clone(),
            drawn: BTreeMap::new(),
            scripted: Vec::new(),
            memory: Memory::default(),
            pages: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    /// A script's trouble begins.
    pub fn begin(&mut self, now: Time, scripted: Scripted) {
        let until = scripted
            .lasts
            .map_or(Time::from_nanos(u64::MAX), |lasts| now.after(lasts));
        self.scripted.push((until, scripted));
    }

    /// Everything is well from now on.
    pub fn heal(&mut self) {
        self.scripted.clear();
        self.classes.clear();
    }

    /// What strikes this request, if anything does.
    pub fn strike(&mut self, now: Time, asked: &Request) -> Option<Strike> {
        let (part, page) = (Part::of(asked), self.page_of(asked));
        self.strike_scripted(now, asked, part, page)
            .or_else(|| self.strike_drawn(now, asked, part, page))
    }

    fn strike_scripted(
        &mut self,
        now: Time,
        asked: &Request,
        part: Part,
        page: u32,
    ) -> Option<Strike> {
        self.scripted.retain(|(until, _)| now < *until);
        let user = self.user_of(asked);
        let at = self.scripted.iter().position(|(_, one)| {
            one.host == asked.host
                && one.place.covers(part, page)
                && (one.user.is_empty() || user.as_deref() == Some(&one.user))
        })?;
        let (until, one) = &mut self.scripted[at];
        let (until, trouble) = (*until, one.trouble);
        if let Some(times) = &mut one.times {
            *times -= 1;
            if *times == 0 {
                self.scripted.remove(at);
            }
        }
        Some(Strike {
            trouble,
            name: "scripted",
            clogged: until.since(now),
        })
    }

    fn strike_drawn(
        &mut self,
        now: Time,
        asked: &Request,
        part: Part,
        page: u32,
    ) -> Option<Strike> {
        if self.classes.is_empty() {
            return None;
        }
        if !self.drawn.contains_key(&asked.host) {
            let windows = self.windows(&asked.host);
            self.drawn.insert(asked.host.clone(), windows);
        }
        let windows = self.drawn.get_mut(&asked.host)?;
        let mut struck = None;
        // Each class draws for itself, so that one more or less leaves the others alone.
        for (drawn, (window, entropy)) in self.classes.iter().zip(windows) {
            let class = &CLASSES[drawn.class];
            if !class.place.covers(part, page) {
                continue;
            }
            let (is_on, until) = window.at(now);
            if is_on && entropy.chance(drawn.per_million) {
                struck.get_or_insert(Strike {
                    trouble: class.trouble,
                    name: class.name,
                    clogged: until.since(now),
                });
            }
        }
        struck
    }

    fn windows(&self, host: &str) -> Vec<(Window, Entropy)> {
        self.classes
            .iter()
            .map(|drawn| {
                let name = CLASSES[drawn.class].name;
                let key = |what: &str| format!("{host} {name} {what}");
                let stream = Stream::RegistryFaults;
                let window = Window::new(
                    Entropy::keyed(self.seed, stream, &key("window")),
                    Duration::from_secs(drawn.on_s_min.into()),
                    Duration::from_secs(drawn.off_s_min.into()),
                );
                (window, Entropy::keyed(self.seed, stream, &key("strike")))
            })
            .collect()
    }

    /// Changes the registry's answer as `strike` wants it, and remembers pages and owners of tokens.
    pub fn spoil(&mut self, trouble: Option<Trouble>, asked: &Request, response: &mut Response) {
        let part = Part::of(asked);
        if part == Part::List {
            self.memory.note(asked, response);
        }
        if part == Part::Token {
            self.note_owner(asked, response);
        }
        if let Some(trouble) = trouble {
            self.memory.spoil(trouble, asked, response);
        }
        if part == Part::List {
            self.note_link(asked, response);
        }
    }

    /// The user behind a request: of its password, or of the token that it shows.
    pub fn user_of(&self, asked: &Request) -> Option<String> {
        let value = asked.header("authorization")?;
        if let Some(token) = value.strip_prefix("Bearer ") {
            return self.owners.get(token).cloned();
        }
        basic_user(value)
    }

    fn page_of(&self, asked: &Request) -> u32 {
        let key = (asked.host.clone(), asked.target.clone());
        self.pages.get(&key).copied().unwrap_or(1)
    }

    fn note_link(&mut self, asked: &Request, response: &Response) {
        let link = response.headers.iter().find(|(name, _)| name == "link");
        let target = link.and_then(|(_, value)| value.strip_prefix('<')?.split_once('>'));
        if let Some((target, _)) = target
            && target != asked.target
        {
            let next = self.page_of(asked) + 1;
            self.pages
                .insert((asked.host.clone(), target.to_owned()), next);
        }
    }

    fn note_owner(&mut self, asked: &Request, response: &Response) {
        let Some(user) = asked.header("authorization").and_then(basic_user) else {
            return;
        };
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&response.body) else {
            return;
        };
        let token = body["token"].as_str().or(body["access_token"].as_str());
        if let Some(token) = token {
            if self.owners.len() >= TOKENS_MAX {
                self.owners.clear();
            }
            self.owners.insert(token.to_owned(), user);
        }
    }
}

fn basic_user(value: &str) -> Option<String> {
    let pair = base64::decode(value.strip_prefix("Basic ")?)?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(user, _)| user.to_owned())
}
