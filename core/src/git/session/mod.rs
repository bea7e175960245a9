//! One attempt of one job with a git server, without I/O.
//!
//! ```text
//! new(job) ─► advertisement ─► references ─► [history] ─► content ─► outcome of Read
//!                                   └─► history ─► outcome of Inspect
//!             content ─► Edit ─► handle_edits ─► [Sign] ─► push ─► outcome of Publish
//! ```
//!
//! The driver performs [`Action`]s, hands over what comes, and stops after [`Action::Finish`]. A session
//! knows no time: a driver whose time is over says [`ChannelEnd::Broken`](super::ChannelEnd::Broken). At most one channel is open.
//! Nothing is forced: a push names the commit that its edits were made from, and the server refuses when the
//! branch is not there any more (`design.md` 4.4).

mod content;
mod exchange;
mod history;
mod push;

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::capability::Server;
use super::channel::{ChannelId, Open, Remote, Service};
use super::fault::Fault;
use super::fetch::FetchReader;
use super::job::{Edits, Finished, Job, Limits, Outcome, Relation, Target, Tip, Worktree};
use super::known::{Known, Objects};
use super::object::ObjectId;
use super::pack::PackError;
use super::refs::{AdvertisementReader, Refs, RefsReader, WantedRefs};
use super::refusal::{self, Refusal, RefusalKind};
use super::report::ReportReader;
use exchange::{Live, Reply, ReplyEnd};
use push::NewCommitData;

/// What a session wants of its driver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a channel. Answered by [`Session::handle_head`] (HTTP), [`Session::handle_data`] and one
    /// [`Session::handle_end`].
    Open {
        /// Its name from here on.
        channel: ChannelId,
        /// The service that is spoken to.
        service: Service,
        /// What to open.
        open: Open,
    },
    /// Send on a channel over SSH.
    Send {
        /// The channel.
        channel: ChannelId,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// Nothing more is wanted of the channel; what still comes may be handed over and is ignored.
    Close {
        /// The channel.
        channel: ChannelId,
    },
    /// Edit the files. Answered by [`Session::handle_edits`].
    Edit(Worktree),
    /// Sign these bytes. Answered by [`Session::handle_signature`].
    Sign {
        /// The commit without its signature.
        payload: Vec<u8>,
    },
    /// The last action.
    Finish(Box<Finished>),
}

/// One attempt of one job.
#[derive(Debug)]
pub struct Session {
    job: Job,
    remote: Remote,
    limits: Limits,
    actions: VecDeque<Action>,
    n_channels: u32,
    live: Option<Live>,
    /// What is sent once the server has spoken on a new channel.
    pending: Option<(Vec<u8>, Reply)>,
    server: Option<Server>,
    refs: Refs,
    objects: Option<Objects>,
    phase: Phase,
}

/// Where the session is.
#[derive(Debug)]
enum Phase {
    Advertisement,
    Refs,
    /// Reading commits to see how the written branch stands to its base.
    Relation(Tip),
    /// Reading commits to find a batch.
    Search(ObjectId),
    /// Reading trees and files.
    Content(content::Content),
    /// The driver edits.
    Edit(content::Content),
    /// The driver signs.
    Sign(NewCommitData),
    /// A push over SSH waits for the server's first words.
    Greeting(NewCommitData),
    /// The push is under way: from here on what becomes of it may be unknown.
    Push(NewCommitData),
    Done,
}

impl Session {
    /// Begins a job. `known` is what an earlier session about the same target left.
    pub fn new(job: Job, remote: Remote, known: Known, limits: Limits) -> Self {
        let mut session = Self {
            job,
            remote,
            limits,
            actions: VecDeque::new(),
            n_channels: 0,
            live: None,
            pending: None,
            server: None,
            refs: Refs::default(),
            objects: Some(Objects::new(known, limits)),
            phase: Phase::Advertisement,
        };
        let wanted = session.wanted_refs();
        session.open(
            Service::UploadPack,
            Reply::Advertisement(AdvertisementReader::new(wanted)),
        );
        session
    }

    /// What the driver is to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// True when the last action has been polled or waits to be.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// How many bytes of `channel` the driver may hand over next; nothing of a channel that is not wanted any
    /// more. Every call of [`Session::handle_data`] works off what it is given.
    pub fn can_take_bytes(&self, channel: ChannelId) -> usize {
        let is_live = self.live.as_ref().is_some_and(|live| live.id == channel);
        if is_live { CHUNK_BYTES_MAX } else { 0 }
    }

    /// The driver has edited the files of [`Action::Edit`].
    pub fn handle_edits(&mut self, edits: Edits) {
        let phase = core::mem::replace(&mut self.phase, Phase::Done);
        if let Phase::Edit(content) = phase {
            self.on_edits(content, edits);
        } else {
            self.phase = phase;
        }
    }

    /// The driver has signed, or says why not.
    pub fn handle_signature(&mut self, signature: Result<String, String>) {
        let phase = core::mem::replace(&mut self.phase, Phase::Done);
        if let Phase::Sign(commit) = phase {
            match signature {
                Ok(signature) => self.on_signed(commit, Some(&signature)),
                Err(text) => self.refuse(RefusalKind::Signing, text),
            }
        } else {
            self.phase = phase;
        }
    }

    /// Gives up, wherever the session is: the driver's time is over.
    pub fn handle_cancel(&mut self, detail: &str) {
        if let Phase::Push(commit) = &self.phase {
            let outcome = commit.to_unknown(detail.into());
            self.finish(outcome);
        } else {
            self.refuse(RefusalKind::Transport, detail);
        }
    }

    fn target(&self) -> &Target {
        match &self.job {
            Job::Read { target, .. } => target,
            Job::Publish(publish) => &publish.target,
            Job::Inspect(inspect) => &inspect.target,
        }
    }

    fn wanted_refs(&self) -> WantedRefs {
        let target = self.target();
        let mut names = BTreeSet::new();
        if let Some(base) = &target.base {
            names.insert(branch_ref(base));
            names.insert(format!("refs/tags/{}", short_name(base)));
        }
        names.extend(target.write.as_deref().map(branch_ref));
        WantedRefs(names)
    }

    /// A reply is whole.
    fn on_reply(&mut self, reply: ReplyEnd) {
        match (core::mem::replace(&mut self.phase, Phase::Done), reply) {
            (Phase::Advertisement, ReplyEnd::Advertisement(server, refs)) => {
                self.on_advertisement(server, refs);
            }
            (Phase::Greeting(commit), ReplyEnd::Advertisement(server, refs)) => {
                self.on_greeting(commit, &server, &refs);
            }
            (phase, ReplyEnd::Advertisement(server, _)) => {
                // Another channel to the same service, for a request that waits.
                self.phase = phase;
                self.server = Some(server);
                self.on_pending();
            }
            (Phase::Refs, ReplyEnd::Refs(refs)) => self.on_refs(refs),
            (Phase::Relation(tip), ReplyEnd::Pack(pack)) => self.on_relation(tip, *pack),
            (Phase::Search(tip), ReplyEnd::Pack(pack)) => self.on_search(tip, *pack),
            (Phase::Content(content), ReplyEnd::Pack(pack)) => self.on_content(content, *pack),
            (Phase::Push(commit), ReplyEnd::Report(report)) => self.on_report(commit, report),
            (phase, ReplyEnd::Refs(_) | ReplyEnd::Pack(_) | ReplyEnd::Report(_)) => {
                self.phase = phase;
                self.on_fault(Fault::Malformed("an answer to another question"));
            }
        }
    }

    fn on_advertisement(&mut self, server: Server, refs: Refs) {
        let format = server.capabilities.object_format();
        if format != "sha1" {
            let text =
                format!("the repository's object format is {format}, and only sha1 is supported");
            return self.refuse(RefusalKind::ObjectFormat, text);
        }
        let is_v2 = server.is_v2;
        self.server = Some(server);
        if !is_v2 {
            return self.on_refs(refs);
        }
        let wanted = self.wanted_refs();
        let request = self.server().map(|server| wanted.to_request(server));
        self.phase = Phase::Refs;
        self.ask(
            request.unwrap_or_default(),
            Reply::Refs(RefsReader::new(wanted)),
        );
    }

    /// The references are known: where to start.
    fn on_refs(&mut self, refs: Refs) {
        self.refs = refs;
        let target = self.target().clone();
        let head = self.refs.head_target().map(ToString::to_string);
        let Some(base_ref) = target.base.as_deref().map(branch_ref).or(head) else {
            let text = "the repository has no default branch: name one in git-branch";
            return self.refuse(RefusalKind::NoDefaultBranch, text);
        };
        let base = short_name(&base_ref).to_string();
        let branch = target.write.unwrap_or_else(|| base.clone());
        let branch = short_name(&branch).to_string();
        let old = self.refs.id(&branch_ref(&branch)).unwrap_or(ObjectId::NULL);
        if let Job::Inspect(inspect) = &self.job {
            let since = inspect.since;
            return self.search(old, since);
        }
        let Some(commit) = self.refs.id(&base_ref) else {
            return self.on_base_missing(target.base.as_deref(), &base);
        };
        let tip = Tip {
            relation: match old {
                ObjectId::NULL => Relation::Created,
                _ => Relation::Same,
            },
            branch,
            base,
            commit,
            old,
        };
        if old.is_null() || old == commit {
            self.start(tip);
        } else {
            self.relate(tip);
        }
    }

    fn on_base_missing(&mut self, given: Option<&str>, base: &str) {
        let is_commit = ObjectId::from_hex(base.as_bytes()).is_some();
        let is_tag = self.refs.id(&format!("refs/tags/{base}")).is_some();
        if given.is_none() {
            let text = format!("the repository is empty: its default branch {base} does not exist");
            self.refuse(RefusalKind::NoDefaultBranch, text);
        } else if is_tag || is_commit {
            let what = if is_tag { "a tag" } else { "a commit" };
            let text =
                format!("{base} is {what}, and only branches are written: name one in git-branch");
            self.refuse(RefusalKind::NotABranch, text);
        } else {
            let text = format!("the branch {base} does not exist");
            self.refuse(RefusalKind::BranchMissing, text);
        }
    }

    fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn refuse(&mut self, kind: RefusalKind, text: impl Into<String>) {
        self.finish(Outcome::Refused(Refusal::new(kind, text)));
    }

    /// A reply is not used.
    fn on_fault(&mut self, fault: impl Into<Fault>) {
        let fault = fault.into();
        if let Phase::Push(commit) = &self.phase {
            let outcome = commit.to_unknown(fault.to_string());
            return self.finish(outcome);
        }
        if let Fault::Remote(text) = &fault
            && self.can_read_whole(text)
        {
            return;
        }
        let kind = match &fault {
            Fault::Pack(PackError::TooLarge { .. }) => {
                if self.can_do_without_history() {
                    return;
                }
                let text = format!(
                    "what has to be read is larger than {} bytes: raise GIT_PACK_BYTES_MAX, or let the server filter",
                    self.limits.pack.pack_bytes_max
                );
                return self.refuse(RefusalKind::PackTooLarge, text);
            }
            Fault::Pack(PackError::Bomb) => RefusalKind::PackTooLarge,
            Fault::Remote(text) => refusal::of_last_words(text),
            Fault::Malformed(_) | Fault::Pack(PackError::Malformed(_)) => RefusalKind::NotGit,
        };
        self.refuse(kind, fault.to_string());
    }

    /// A reader of the answer to a fetch.
    fn fetch_reader(&self) -> Option<Reply> {
        let limits = self.objects.as_ref()?.pack_limits();
        let reader = FetchReader::new(self.server()?, limits);
        Some(Reply::Fetch(Box::new(reader)))
    }

    fn report_reader(branch: &str) -> Reply {
        Reply::Report(ReportReader::new(branch_ref(branch)))
    }

    fn finish(&mut self, outcome: Outcome) {
        if self.objects.is_none() {
            return;
        }
        self.phase = Phase::Done;
        self.pending = None;
        self.close();
        let known = self.objects.take().map(Objects::into_known);
        self.actions.push_back(Action::Finish(Box::new(Finished {
            outcome,
            known: known.unwrap_or_default(),
        })));
    }
}

/// The most that is worked off at once.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// The full name of a branch.
fn branch_ref(name: &str) -> String {
    format!("refs/heads/{}", short_name(name))
}

/// A branch without what full names begin with.
fn short_name(name: &str) -> &str {
    name.strip_prefix("refs/heads/").unwrap_or(name)
}
