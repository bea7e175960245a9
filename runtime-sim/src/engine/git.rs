//! Attempts with Git repositories: the session of the production core, run inline in virtual time.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::git::{
    Action, ChannelEnd, ChannelId, Finished, Known, Limits, Open, Remote, Service, Session,
};
use image_updater_core::id::OpId;
use image_updater_core::input::Input;
use image_updater_core::publish::{GitJob, GitOutcome, GitTask, Work};
use image_updater_core::writeback::target::Target;
use image_updater_fixtures::git::{File, PushConduct, Reply};
use image_updater_fixtures::{Request, Response};

use super::{Engine, Op, Step};
use crate::git;
use crate::options::Planted;
use crate::world::NAMESPACE;

/// An attempt under way.
#[derive(Debug)]
pub(super) struct GitOp {
    session: Session,
    work: Work,
    repo: usize,
    authorization: String,
    known: String,
}

/// A request on its way to a Git server; it arrives also when its sender is gone.
#[derive(Debug)]
pub(super) struct GitRequest {
    generation: u32,
    op: OpId,
    channel: ChannelId,
    repo: usize,
    request: Request,
    is_push: bool,
    /// The sender does not get the answer.
    is_lost: bool,
    conduct: Option<PushConduct>,
}

impl Engine {
    pub(super) fn start_git(&mut self, op: OpId, mut job: GitJob) {
        let url = job.repository.reveal().to_owned();
        self.ops.insert(op, Op::new(format!("git {url}")));
        let Some(repo) = git::idx_of(&url) else {
            unreachable!("the annotations of this world name its repositories");
        };
        let known = format!("{url} {:?}", job.target);
        if self.options.planted == Some(Planted::StrayEdit) {
            lead_astray(&mut job);
        }
        let kept: Known = self.known.get(&known).cloned().unwrap_or_default();
        let (job, work) = Work::new(job);
        let session = Session::new(job, Remote::Http(url), kept, Limits::default());
        let authorization = self.world.git.authorization(repo);
        self.git_ops.insert(
            op,
            GitOp {
                session,
                work,
                repo,
                authorization,
                known,
            },
        );
        self.pump_git(op);
    }

    /// The core gives an attempt up.
    pub(super) fn cancel_git(&mut self, op: OpId) {
        if let Some(one) = self.git_ops.get_mut(&op) {
            one.session.handle_cancel("the core cancelled the attempt");
            self.pump_git(op);
        }
    }

    /// Does what an attempt wants.
    fn pump_git(&mut self, op: OpId) {
        while let Some(one) = self.git_ops.get_mut(&op)
            && let Some(action) = one.session.poll_action()
        {
            match action {
                Action::Open {
                    channel,
                    service,
                    open,
                } => self.open_git(op, channel, service, open),
                Action::Edit(worktree) => {
                    let edits = one.work.edit(&worktree);
                    one.session.handle_edits(edits);
                }
                Action::Sign { .. } => {
                    one.session
                        .handle_signature(Err("nobody signs here".to_owned()));
                }
                // Answers over HTTP come whole.
                Action::Send { .. } | Action::Close { .. } => {}
                Action::Finish(finished) => {
                    let Finished { outcome, known } = *finished;
                    let outcome = one.work.outcome_of(outcome);
                    self.known.insert(one.known.clone(), known);
                    self.git_ops.remove(&op);
                    self.finish_git(op, outcome);
                }
            }
        }
    }

    fn finish_git(&mut self, op: OpId, outcome: GitOutcome) {
        self.trace
            .line(self.now, "git", format_args!("{} {outcome:?}", op.0));
        self.judge_last_line();
        self.observers.commits.completed(op);
        self.answer(op, Input::Git(op, Box::new(outcome)));
    }

    fn open_git(&mut self, op: OpId, channel: ChannelId, service: Service, open: Open) {
        let Some(mut request) = Request::from_git(open) else {
            unreachable!("the URLs of this world are for HTTP");
        };
        let Some(one) = self.git_ops.get(&op) else {
            return;
        };
        let (repo, authorization) = (one.repo, one.authorization.clone());
        request
            .headers
            .push(("authorization".to_owned(), authorization));
        let is_push = service == Service::ReceivePack && request.method == "POST";
        let way = format!("git {}", request.host);
        let half = self.half_way(&way);
        let faults = self.options.git_faults;
        if self.git_fault("git-reset", faults.reset) {
            let end = if self.git_entropy.chance(500_000) {
                let detail = "connection refused".to_owned();
                ChannelEnd::NotOpened { detail }
            } else {
                let detail = "connection reset".to_owned();
                ChannelEnd::Broken { detail }
            };
            let step = Step::GitEnd {
                generation: self.generation,
                op,
                channel,
                end,
            };
            self.push(self.now.after(half), step);
            return;
        }
        if self.git_fault("git-hang", faults.hang) {
            return;
        }
        let mut request = GitRequest {
            generation: self.generation,
            op,
            channel,
            repo,
            request,
            is_push,
            is_lost: false,
            conduct: None,
        };
        if is_push && self.git_fault("git-late", faults.late) {
            request.is_lost = true;
            let detail = "no answer in time".to_owned();
            let step = Step::GitEnd {
                generation: self.generation,
                op,
                channel,
                end: ChannelEnd::Broken { detail },
            };
            self.push(self.now.after(half * 2), step);
            let late = Duration::from_millis(self.git_entropy.between(10, 30_000));
            self.push(self.now.after(late), Step::GitArrive(Box::new(request)));
            return;
        }
        if is_push {
            request.conduct = self.push_fault();
        }
        self.push(self.now.after(half), Step::GitArrive(Box::new(request)));
    }

    /// What a push is going to meet.
    fn push_fault(&mut self) -> Option<PushConduct> {
        let faults = self.options.git_faults;
        if self.git_fault("git-moved-first", faults.moved_first) {
            let n = self.git_entropy.bits();
            let file = File::new(&format!("notes/first-{n}"), "first\n");
            return Some(PushConduct::MovedFirst(file));
        }
        if self.git_fault("git-hook", faults.hook) {
            return Some(PushConduct::Hook("not on a Friday".to_owned()));
        }
        if self.git_fault("git-reply-lost", faults.reply_lost) {
            return Some(PushConduct::ReplyLost);
        }
        if self.git_fault("git-refused-lost", faults.refused_lost) {
            return Some(PushConduct::RefusedReplyLost);
        }
        self.git_fault("git-status", faults.status)
            .then_some(PushConduct::Status(503))
    }

    pub(super) fn arrive_git(&mut self, arrived: GitRequest) {
        let GitRequest {
            generation,
            op,
            channel,
            repo,
            request,
            is_push,
            is_lost,
            conduct,
        } = arrived;
        let Some(server) = self.world.git.server_mut(repo) else {
            return;
        };
        if let Some(conduct) = conduct
            && server.conduct.pushes.is_empty()
        {
            server.conduct.pushes.push_back(conduct);
        }
        let n_pushes = server.pushes.len();
        let reply = server.handle_http(&request);
        let new: Vec<_> = server.pushes[n_pushes..].to_vec();
        if is_push {
            for push in new.into_iter().filter(|push| push.refusal.is_none()) {
                self.trace.line(
                    self.now,
                    "pushed",
                    format_args!("{} {}", push.name, push.new),
                );
                let files = self.observers.pushed(self.now, repo, &push, &self.world);
                for app in files {
                    let name = self.world.apps[app].name.clone();
                    self.sync_soon(&name);
                }
            }
        }
        if is_lost {
            return;
        }
        let half = self.half_way(&format!("git {}", request.host));
        let at = self.now.after(half);
        let step = match reply {
            Reply::Sent(response) => Step::GitReply {
                generation,
                op,
                channel,
                response: Box::new(response),
            },
            Reply::Lost => Step::GitEnd {
                generation,
                op,
                channel,
                end: ChannelEnd::Broken {
                    detail: "connection reset by peer".to_owned(),
                },
            },
        };
        self.push(at, step);
    }

    pub(super) fn reply_git(&mut self, op: OpId, channel: ChannelId, response: &Response) {
        let Some(one) = self.git_ops.get_mut(&op) else {
            return;
        };
        one.session
            .handle_head(channel, response.status, &response.headers);
        let mut rest = &response.body[..];
        while !rest.is_empty() {
            let n_bytes = one.session.can_take_bytes(channel).min(rest.len());
            if n_bytes == 0 {
                break;
            }
            let (now, later) = rest.split_at(n_bytes);
            one.session.handle_data(channel, now);
            rest = later;
        }
        self.end_git(op, channel, &ChannelEnd::Finished);
    }

    pub(super) fn end_git(&mut self, op: OpId, channel: ChannelId, end: &ChannelEnd) {
        if let Some(one) = self.git_ops.get_mut(&op) {
            one.session.handle_end(channel, end);
            self.pump_git(op);
        }
    }

    /// Argo CD sees what was committed, a little later.
    pub(super) fn sync_soon(&mut self, name: &str) {
        let delay = self.exponential(&format!("app {name}"), Duration::from_secs(5));
        let at = self.now.after(Duration::from_secs(2) + delay);
        self.push(at, Step::Sync(name.to_owned()));
    }

    fn git_fault(&mut self, class: &'static str, per_million: u32) -> bool {
        let strikes = self.faulty && per_million > 0 && self.git_entropy.chance(per_million);
        if strikes {
            *self.injected.entry(class).or_default() += 1;
        }
        strikes
    }
}

/// The planted bug of S8: the last intent of a batch is written into a file of nobody's.
fn lead_astray(job: &mut GitJob) {
    if let GitTask::Publish(task) = &mut job.task
        && let Some(last) = task.intents.last_mut()
    {
        let mut intent = (**last).clone();
        let target = Target::parse(Some("nobody.yaml"), &intent.app, NAMESPACE, "");
        intent.target = target.expect("a path in the repository");
        *last = Arc::new(intent);
    }
}
