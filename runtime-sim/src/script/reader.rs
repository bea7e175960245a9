//! From the text of a script to what it says; strict, with the number of the line that makes no sense.

use std::collections::BTreeSet;
use std::time::Duration;

use image_updater_core::credential::CredentialSource;
use image_updater_core::time::Time;

use super::expectation::version;
use super::words::Words;
use super::{Expectation, Script, Wanted};
use crate::fault::Scripted;
use crate::options::{Options, Profile};
use crate::workload::{
    Access, Action, AppModel, ImageModel, LoginModel, Plan, RegistryModel, RepoIdx, RepoModel,
};
use crate::world::host;

/// Applications of one script.
const APPS_MAX: usize = 10_000;
/// Versions of one repository.
const VERSIONS_MAX: u64 = 100_000;

/// True when `text` is a script and no list of options.
pub fn is_script(text: &str) -> bool {
    lines(text).next().is_some_and(|(_, line)| line == "script")
}

/// Reads a script.
///
/// # Errors
/// The line that makes no sense, and why.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut reader = Reader::new();
    for (number, line) in lines(text).skip(1) {
        reader
            .read(number, line)
            .map_err(|problem| format!("line {number}: {problem}"))?;
    }
    reader.finish()
}

/// Lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, without_comment(line).trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// A `#` inside a word is a part of it: a field of a Secret.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let comment = line.match_indices('#').find(begins);
    comment.map_or(line, |(at, _)| &line[..at])
}

pub(super) struct Reader {
    pub(super) options: Options,
    lasts: Option<Duration>,
    pub(super) plan: Plan,
    expectations: Vec<Expectation>,
}

impl Reader {
    fn new() -> Self {
        let options = Options {
            profile: Profile::Single,
            logins: true,
            warmup: false,
            split: true,
            ..Options::quiet(1)
        };
        Self {
            options,
            lasts: None,
            plan: Plan {
                registries: Vec::new(),
                logins: Vec::new(),
                apps: Vec::new(),
                absent: BTreeSet::new(),
                repos: Vec::new(),
                git: 0,
                actions: Vec::new(),
            },
            expectations: Vec::new(),
        }
    }

    fn read(&mut self, number: usize, line: &str) -> Result<(), String> {
        let mut words = Words::new(line);
        match words.take("a word")? {
            "seed" => self.options.seed = words.number("seed")?,
            "lasts" => self.lasts = Some(words.duration()?),
            "interval" => self.options.interval = words.duration()?,
            "warm-up" => self.options.warmup = true,
            "slots" => self.options.concurrency_max = words.number("number of slots")?,
            "login" => self.login(&mut words)?,
            "registry" => self.registry(&mut words)?,
            "repository" => self.repository(&mut words)?,
            "git" => self.git(&mut words)?,
            "apps" => self.apps(&mut words)?,
            "at" => {
                let at = Time::ZERO.after(words.duration()?);
                if words.has("expect") {
                    return self.expect(number, line, Some(at), words);
                }
                self.act(at, &mut words)?;
            }
            "expect" => return self.expect(number, line, None, words),
            word => return Err(format!("{word:?} begins no line of a script")),
        }
        words.end()
    }

    fn login(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let user = words.take("a user")?.to_owned();
        let source = words.take("a source")?;
        let source =
            CredentialSource::parse(source).map_err(|error| format!("{source:?}: {error}"))?;
        self.plan.logins.push(LoginModel { user, source });
        Ok(())
    }

    fn registry(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let number = words.registry()?;
        if number != self.plan.registries.len() {
            return Err(format!(
                "the next registry is r{}",
                self.plan.registries.len()
            ));
        }
        let kind = words.take("open, basic or bearer")?;
        let (mut logins, mut own, mut ttl_s) = (Vec::new(), None, 300);
        let (mut page_tags, mut page_tags_max, mut rate) = (100, None, None);
        loop {
            if words.has("tokens-live") {
                ttl_s = words.duration()?.as_secs();
            } else if words.has("page") {
                page_tags = words.number("number of tags")?;
            } else if words.has("page-max") {
                page_tags_max = Some(words.number("number of tags")?);
            } else if words.has("rate") {
                rate = Some(words.number("rate")?);
            } else if words.has("login") {
                logins.push(self.user(words)?);
            } else if words.has("own") {
                let user = self.user(words)?;
                logins.push(user);
                own = Some(user);
            } else {
                break;
            }
        }
        let access = match kind {
            "open" if logins.is_empty() => Access::Open,
            "open" => return Err("an open registry has no logins".to_owned()),
            "basic" => Access::Basic(logins),
            "bearer" => Access::Bearer { logins, ttl_s },
            word => return Err(format!("{word:?} is none of open, basic, bearer")),
        };
        self.plan.registries.push(RegistryModel {
            access,
            page_tags,
            page_tags_max: page_tags_max.unwrap_or(page_tags),
            rate,
            login: own,
        });
        Ok(())
    }

    fn repository(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let (registry, name) = words.repository()?;
        self.known_registry(registry)?;
        if !words.has("versions") {
            return Err("`versions` is missing".to_owned());
        }
        let count: u64 = words.number("number of versions")?;
        if !(1..=VERSIONS_MAX).contains(&count) {
            return Err(format!("there are 1 to {VERSIONS_MAX} versions"));
        }
        // Application and image names are made of the last part.
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        if self
            .plan
            .repos
            .iter()
            .any(|repo| last(&repo.name) == last(&name))
        {
            return Err(format!("the last part of {name:?} is taken"));
        }
        self.plan.repos.push(RepoModel {
            registry,
            name,
            newest: version(count - 1),
            versions: (0..count).map(version).collect(),
        });
        Ok(())
    }

    fn apps(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let count: usize = words.number("number of applications")?;
        if self.plan.apps.len() + count > APPS_MAX {
            return Err(format!("there are at most {APPS_MAX} applications"));
        }
        let repo = self.known_repository(words)?;
        let policy = words.policy()?;
        let login = words.has("login").then(|| self.user(words)).transpose()?;
        let git = words
            .has("git")
            .then(|| self.git_model(words))
            .transpose()?;
        for _ in 0..count {
            let idx = self.plan.apps.len();
            self.plan.apps.push(AppModel {
                name: format!("app-{idx}"),
                kustomize: idx % 2 == 1,
                images: vec![ImageModel {
                    repo,
                    policy,
                    login,
                }],
                git,
            });
        }
        Ok(())
    }

    fn act(&mut self, at: Time, words: &mut Words<'_>) -> Result<(), String> {
        let action = match words.take("an action")? {
            "push" => {
                let repo = self.known_repository(words)?;
                Action::Push(repo, words.version()?)
            }
            "delete" => return self.delete(at, words),
            "git" => return self.act_git(at, words),
            "rotate" => {
                let login = self.user(words)?;
                let (source, registries) = (words.has("at-source"), words.has("at-registries"));
                Action::Rotate {
                    login,
                    at_registries: registries || !source,
                    at_source: source || !registries,
                }
            }
            "restart" => Action::Restart,
            "trouble" => Action::Trouble(Box::new(self.trouble(words)?)),
            word => return Err(format!("{word:?} is no action")),
        };
        self.plan.actions.push((at, action));
        Ok(())
    }

    fn delete(&mut self, at: Time, words: &mut Words<'_>) -> Result<(), String> {
        let repo = self.known_repository(words)?;
        let mut versions = self.plan.repos[repo].versions.clone();
        match words.take("oldest or newest")? {
            "oldest" => {}
            "newest" => versions.reverse(),
            word => return Err(format!("{word:?} is none of oldest, newest")),
        }
        let count: usize = words.number("number of versions")?;
        if count > versions.len() {
            return Err(format!("there are {} versions only", versions.len()));
        }
        for version in versions.into_iter().take(count) {
            let action = Action::DeleteTag(repo, version);
            self.plan.actions.push((at, action));
        }
        Ok(())
    }

    fn trouble(&self, words: &mut Words<'_>) -> Result<Scripted, String> {
        let registry = words.registry()?;
        self.known_registry(registry)?;
        let place = words.place()?;
        let trouble = words.trouble()?;
        let user = if words.has("of") {
            let login = self.user(words)?;
            self.plan.logins[login].user.clone()
        } else {
            String::new()
        };
        let lasts = words.has("for").then(|| words.duration()).transpose()?;
        let times = if words.has("times") {
            let times: u32 = words.number("number of times")?;
            Some(times).filter(|times| *times > 0)
        } else {
            None
        };
        Ok(Scripted {
            host: host(registry),
            place,
            user,
            trouble,
            lasts,
            times,
        })
    }

    fn expect(
        &mut self,
        line: usize,
        text: &str,
        at: Option<Time>,
        words: Words<'_>,
    ) -> Result<(), String> {
        let wanted = Wanted::parse(words)?;
        let apps = self.plan.apps.len();
        let known = match &wanted {
            Wanted::Holds(app, _) | Wanted::Reason(app, _) => *app < apps,
            Wanted::OthersUnchanged(registry) => *registry < self.plan.registries.len(),
            Wanted::Count(..) => true,
        };
        if !known {
            return Err("what it names is not there".to_owned());
        }
        self.expectations.push(Expectation {
            at,
            line,
            text: text.to_owned(),
            wanted,
        });
        Ok(())
    }

    fn user(&self, words: &mut Words<'_>) -> Result<usize, String> {
        let user = words.take("a user")?;
        let known = self.plan.logins.iter().position(|login| login.user == user);
        known.ok_or_else(|| format!("there is no login {user:?} above"))
    }

    fn known_registry(&self, registry: usize) -> Result<(), String> {
        if registry < self.plan.registries.len() {
            Ok(())
        } else {
            Err(format!("there is no registry r{registry} above"))
        }
    }

    fn known_repository(&self, words: &mut Words<'_>) -> Result<RepoIdx, String> {
        let (registry, name) = words.repository()?;
        let mut repos = self.plan.repos.iter();
        let at = repos.position(|repo| repo.registry == registry && repo.name == name);
        at.ok_or_else(|| format!("there is no repository r{registry}/{name} above"))
    }

    fn finish(mut self) -> Result<Script, String> {
        let lasts = self
            .lasts
            .ok_or("the script does not say how long it lasts")?;
        if self.expectations.is_empty() {
            return Err("a script that expects nothing cannot fail".to_owned());
        }
        let end = Time::ZERO.after(lasts);
        let late = self.expectations.iter().find(|one| one.at > Some(end));
        if let Some(late) = late {
            return Err(format!("{late}: the script is over by then"));
        }
        let count = |len: usize| u32::try_from(len).map_err(|_| "there is too much".to_owned());
        self.options.horizon = lasts;
        self.options.apps = count(self.plan.apps.len())?;
        self.options.registries = count(self.plan.registries.len())?;
        self.options.repositories = count(self.plan.repos.len())?;
        self.options.actions_per_hour = 0;
        self.plan.actions.sort_by_key(|(at, _)| *at);
        self.expectations
            .sort_by_key(|one| (one.at.is_none(), one.at));
        Ok(Script {
            options: self.options,
            plan: self.plan,
            end,
            expectations: self.expectations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "script\nlasts 10m\nlogin alice env:ALICE\nregistry r0 basic own alice\n\
        repository r0/org/web versions 3\napps 2 r0/org/web minor 1.0 login alice\n\
        at 60s push r0/org/web 1.0.9\nat 2m trouble r0 page 2 429 seconds 30 of alice for 5m\n\
        at 3m expect app-0 holds 1.0.9\nexpect updates >= 2 of app-1 between 0s 9m\n";

    #[test]
    fn a_script_says_what_there_is_and_what_happens() {
        let script = parse(SOUND).expect("the script makes sense");
        assert!(is_script(SOUND) && !is_script("# script\nseed 1"));
        assert_eq!((script.plan.apps.len(), script.plan.actions.len()), (2, 2));
        assert_eq!(script.expectations.len(), 2);
        assert_eq!(script.expectations[0].at, Some(Time::from_secs(180)));
        assert_eq!(script.options.horizon, Duration::from_mins(10));
        assert_eq!(script.plan.registries[0].login, Some(0));
    }

    #[test]
    fn a_senseless_line_is_named_with_its_number() {
        for (line, problem) in [
            ("fly", "\"fly\" begins no line of a script"),
            ("registry r2 open", "the next registry is r1"),
            (
                "registry r1 shut",
                "\"shut\" is none of open, basic, bearer",
            ),
            (
                "registry r1 open login alice",
                "an open registry has no logins",
            ),
            (
                "registry r1 basic login bob",
                "there is no login \"bob\" above",
            ),
            (
                "repository r5/a versions 1",
                "there is no registry r5 above",
            ),
            (
                "repository r0/a versions 0",
                "there are 1 to 100000 versions",
            ),
            (
                "repository r0/b/web versions 1",
                "the last part of \"b/web\" is taken",
            ),
            (
                "apps 1 r0/org/api any",
                "there is no repository r0/org/api above",
            ),
            ("apps 1 r0/org/web some", "\"some\" is no policy"),
            (
                "at 1x restart",
                "\"1x\" is no duration such as 500ms, 30s, 5m or 12h",
            ),
            ("at 1m restart now", "\"now\" is one word too many"),
            (
                "at 1m trouble r0 lists 429 seconds",
                "number of seconds is missing",
            ),
            ("at 1m trouble r0 roof hangs", "\"roof\" is no place"),
            ("at 1m trouble r0 lists sings", "\"sings\" is no trouble"),
            (
                "at 1m delete r0/org/web oldest 4",
                "there are 3 versions only",
            ),
            ("expect app-7 holds 1.0.0", "what it names is not there"),
            ("expect updates < 3", "\"<\" is none of <=, =, >="),
            ("expect joy", "\"joy\" is no application such as app-0"),
            (
                "expect updates = 3 between 2m 1m",
                "the time between ends before it begins",
            ),
        ] {
            let found = parse(&format!("{SOUND}{line}\n")).expect_err(line);
            assert_eq!(found, format!("line 11: {problem}"), "{line}");
        }
        let late = parse(&format!("{SOUND}at 11m expect updates = 1\n")).expect_err("late");
        assert!(late.ends_with("the script is over by then"), "{late}");
        let idle = parse("script\nlasts 1m\n").expect_err("it expects nothing");
        assert_eq!(idle, "a script that expects nothing cannot fail");
    }
}
