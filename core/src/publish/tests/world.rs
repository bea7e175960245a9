//! A room with everything answered by the test.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use crate::effect::Effect;
use crate::git::job::Relation;
use crate::git::{self, ObjectId, Refusal, RefusalKind};
use crate::id::{AppId, AppKey, OpId, OpIds};
use crate::keyed::Seed;
use crate::publish::{
    BatchId, BatchKey, CredentialReference, GitJob, GitOutcome, GitTask, Intent, IntentEnd,
    PublishEnd, PublishOutcome, PublishSettings, Publishes,
};
use crate::time::{Now, Time, UnixTime};
use crate::writeback::edit::FileEdit;
use crate::writeback::target::Target;

pub(super) struct World {
    pub(super) room: Publishes,
    pub(super) ops: OpIds,
    pub(super) now: Time,
}

/// An attempt as it was started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Started {
    pub(super) op: OpId,
    pub(super) repository: String,
    pub(super) target: git::Target,
    pub(super) batch: BatchId,
    /// Names of the applications, with the text of their intents; `None` for an inspection.
    pub(super) intents: Option<Vec<(String, String)>>,
    pub(super) since: Option<ObjectId>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(PublishSettings::new("argocd"))
    }

    pub(super) fn with(settings: PublishSettings) -> Self {
        Self {
            room: Publishes::new(settings, Seed(1)),
            ops: OpIds::default(),
            now: Time::ZERO,
        }
    }

    pub(super) fn want(&mut self, app: u64, text: &str) {
        self.want_at(app, "https://git.test/r", Some("main"), text);
    }

    pub(super) fn want_at(&mut self, app: u64, url: &str, branch: Option<&str>, text: &str) {
        let target = git::Target {
            base: branch.map(String::from),
            write: None,
        };
        let credential = CredentialReference::Repository {
            project: "default".into(),
        };
        let key = BatchKey::new(url, target, credential);
        self.room
            .enqueue(self.now, AppId(app), key, url, intent(app, text));
    }

    /// A turn is drained: what starts.
    pub(super) fn turn(&mut self) -> Vec<Started> {
        let now = Now {
            mono: self.now,
            wall: UnixTime::from_secs(1),
        };
        self.room.handle_timeout(self.now);
        self.room.handle_drained_turn(now, &mut self.ops);
        let started = self.effects();
        if let Some(at) = self.room.next_wakeup() {
            assert!(at > self.now, "never a deadline in the past (A6)");
        }
        self.room.audit().expect("what is kept twice agrees");
        started
    }

    fn effects(&mut self) -> Vec<Started> {
        let mut started = Vec::new();
        while let Some(effect) = self.room.poll_effect() {
            if let Effect::Git(op, job) = effect {
                started.push(Started::of(op, *job));
            }
        }
        started
    }

    pub(super) fn wait(&mut self, duration: Duration) -> Vec<Started> {
        self.now = self.now.after(duration);
        self.turn()
    }

    /// Jumps to the next wake-up.
    pub(super) fn jump(&mut self) -> Vec<Started> {
        self.now = self.room.next_wakeup().expect("something is due");
        self.turn()
    }

    pub(super) fn answer(&mut self, started: &Started, outcome: GitOutcome) -> Vec<Started> {
        assert!(self.room.handle_git(self.now, started.op, outcome));
        self.turn()
    }

    pub(super) fn outcomes(&mut self) -> Vec<PublishOutcome> {
        core::iter::from_fn(|| self.room.poll_outcome()).collect()
    }

    /// How applications ended or were put off since, in words.
    pub(super) fn ends(&mut self) -> Vec<String> {
        let word = |outcome| match outcome {
            PublishOutcome::Ended { app, end } => {
                let end = match end {
                    PublishEnd::Published { commit, .. } => {
                        format!("published {}", &commit.to_string()[..2])
                    }
                    PublishEnd::Unchanged { .. } => "unchanged".into(),
                    PublishEnd::EditRefused(refusal) => format!("edit refused: {refusal}"),
                    PublishEnd::Refused { kind, .. } => format!("refused {}", kind.as_str()),
                    PublishEnd::Failed { detail } => format!("failed: {detail}"),
                };
                Some(format!("{} {end}", app.0))
            }
            PublishOutcome::Repeated { app, .. } => Some(format!("{} repeated", app.0)),
            PublishOutcome::Batch(_) => None,
            PublishOutcome::Stalled(op) => Some(format!("stalled {}", op.0)),
        };
        self.outcomes().into_iter().filter_map(word).collect()
    }
}

impl Started {
    fn of(op: OpId, job: GitJob) -> Self {
        let (batch, intents, since) = match job.task {
            GitTask::Publish(task) => {
                let intents = task.intents.iter();
                let intents =
                    intents.map(|one| (one.app.name.to_string(), one.message.to_string()));
                (task.batch.clone(), Some(intents.collect()), None)
            }
            GitTask::Inspect { batch, since } => (batch, None, since),
        };
        Self {
            op,
            repository: job.repository.reveal().into(),
            target: job.target,
            batch,
            intents,
            since,
        }
    }

    pub(super) fn apps(&self) -> Vec<&str> {
        let intents = self.intents.as_ref().expect("a publish");
        intents.iter().map(|(app, _)| app.as_str()).collect()
    }
}

pub(super) fn intent(app: u64, text: &str) -> Intent {
    let app = AppKey::new("argocd", app.to_string());
    Intent {
        target: Target::parse(None, &app, "argocd", "").expect("the default target is one"),
        app,
        edit: FileEdit::Parameters(Vec::new()),
        message: text.into(),
    }
}

pub(super) fn commit(n: u8) -> ObjectId {
    let hex = format!("{n:02x}").repeat(20);
    ObjectId::from_hex(hex.as_bytes()).expect("forty digits")
}

pub(super) fn published(n: u8, ends: Vec<IntentEnd>) -> GitOutcome {
    GitOutcome::Published {
        commit: commit(n),
        branch: "main".into(),
        relation: Relation::Same,
        messages: Vec::new(),
        ends,
    }
}

pub(super) fn unchanged(ends: Vec<IntentEnd>) -> GitOutcome {
    GitOutcome::Unchanged {
        branch: "main".into(),
        ends,
    }
}

pub(super) fn refused(kind: RefusalKind) -> GitOutcome {
    GitOutcome::Refused {
        refusal: Refusal::new(kind, "no"),
        ends: Vec::new(),
    }
}

pub(super) fn unknown(since: u8, ends: Vec<IntentEnd>) -> GitOutcome {
    GitOutcome::Unknown {
        since: Some(commit(since)),
        branch: "main".into(),
        detail: "the reply was lost".into(),
        ends,
    }
}

pub(super) fn inspected(found: Option<u8>) -> GitOutcome {
    GitOutcome::Inspected {
        commit: found.map(commit),
    }
}

pub(super) fn boxed(text: &str) -> Box<str> {
    text.into()
}
