//! The lines of a script that are about Git.

use image_updater_core::time::Time;
use image_updater_fixtures::git::PushConduct;

use super::reader::Reader;
use super::words::Words;
use crate::git::{GitAction, GitBase, GitModel};
use crate::workload::Action;

/// Most repositories of a script.
const REPOSITORIES_MAX: usize = 16;
/// Most commits of one storm.
const STORM_COMMITS_MAX: u64 = 10_000;

impl Reader {
    /// `git N`: so many repositories, with branches `main` and `dev`.
    pub(super) fn git(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let count = words.number("number of repositories")?;
        if count > REPOSITORIES_MAX {
            return Err(format!("there are at most {REPOSITORIES_MAX} repositories"));
        }
        self.plan.git = count;
        self.options.git = u32::try_from(count).map_err(|_| "there is too much".to_owned())?;
        Ok(())
    }

    /// `gN [main|dev]`.
    pub(super) fn git_model(&self, words: &mut Words<'_>) -> Result<GitModel, String> {
        let repo = self.known_git(words)?;
        let base = if words.has("main") {
            GitBase::Main
        } else if words.has("dev") {
            GitBase::Dev
        } else {
            GitBase::Default
        };
        Ok(GitModel { repo, base })
    }

    /// What stands behind `at T git`.
    pub(super) fn act_git(&mut self, at: Time, words: &mut Words<'_>) -> Result<(), String> {
        let repo = self.known_git(words)?;
        let branch = |words: &mut Words<'_>| words.take("a branch").map(str::to_owned);
        let action = match words.take("what happens")? {
            "commit" => GitAction::Commit(branch(words)?),
            "touch" => GitAction::Touch(words.app()?),
            "revert" => GitAction::Revert(words.app()?),
            "link" => GitAction::Link(words.app()?),
            "protect" => GitAction::Protect(branch(words)?),
            "unprotect" => GitAction::Unprotect(branch(words)?),
            "delete" => GitAction::DeleteBranch(branch(words)?),
            "restore" => GitAction::RestoreBranch(branch(words)?),
            "rotate" => {
                let (source, remote) = (words.has("at-source"), words.has("at-remote"));
                GitAction::Rotate {
                    at_remote: remote || !source,
                    at_source: source || !remote,
                }
            }
            "storm" => return self.storm(repo, at, words),
            "pushes" => {
                let times: usize = words.number("number of pushes")?;
                if times > 100 {
                    return Err("there are at most 100 pushes".to_owned());
                }
                let conduct = match words.take("what they meet")? {
                    "reply-lost" => PushConduct::ReplyLost,
                    "refused-reply-lost" => PushConduct::RefusedReplyLost,
                    "hook" => PushConduct::Hook("not on a Friday".to_owned()),
                    "status" => PushConduct::Status(words.number("status")?),
                    word => {
                        return Err(format!(
                            "{word:?} is none of reply-lost, refused-reply-lost, hook, status"
                        ));
                    }
                };
                GitAction::NextPushes(vec![conduct; times])
            }
            word => return Err(format!("{word:?} is nothing that happens to a repository")),
        };
        if let GitAction::Touch(app) | GitAction::Revert(app) | GitAction::Link(app) = action
            && app >= self.plan.apps.len()
        {
            return Err("what it names is not there".to_owned());
        }
        self.plan.actions.push((at, Action::Git(repo, action)));
        Ok(())
    }

    /// `storm BRANCH every D for D`: somebody commits again and again.
    fn storm(&mut self, repo: usize, at: Time, words: &mut Words<'_>) -> Result<(), String> {
        let branch = words.take("a branch")?.to_owned();
        if !words.has("every") {
            return Err("`every` is missing".to_owned());
        }
        let every = words.duration()?;
        if !words.has("for") {
            return Err("`for` is missing".to_owned());
        }
        let lasts = words.duration()?;
        let count = lasts.as_millis() / every.as_millis().max(1);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if count > STORM_COMMITS_MAX {
            return Err(format!("a storm has at most {STORM_COMMITS_MAX} commits"));
        }
        let mut time = at;
        for _ in 0..count {
            let action = GitAction::Commit(branch.clone());
            self.plan.actions.push((time, Action::Git(repo, action)));
            time = time.after(every);
        }
        Ok(())
    }

    fn known_git(&self, words: &mut Words<'_>) -> Result<usize, String> {
        let word = words.take("a repository such as g0")?;
        let number: Option<usize> = word
            .strip_prefix('g')
            .and_then(|digits| digits.parse().ok());
        number
            .filter(|number| *number < self.plan.git)
            .ok_or_else(|| format!("there is no repository {word:?} above"))
    }
}
