//! One attempt: a Git session, and the edits that its intents want.
//!
//! A driver runs it beside the core: it performs the actions, hands over what comes, and answers the effect with
//! the outcome of [`AttemptAction::Finish`]. A driver that runs sessions itself takes [`Work`] alone.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::job::{GitJob, GitOutcome};
use super::work::Work;
use crate::git::{
    Action, ChannelEnd, ChannelId, Finished, Known, Limits, Open, Remote, Service, Session,
};

/// What an attempt wants of its driver; answered as [`Action`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttemptAction {
    /// Open a channel.
    Open {
        /// Its name.
        channel: ChannelId,
        /// The service.
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
    /// Nothing more is wanted of the channel.
    Close {
        /// The channel.
        channel: ChannelId,
    },
    /// Sign these bytes.
    Sign {
        /// The commit without its signature.
        payload: Vec<u8>,
    },
    /// The last action.
    Finish(Box<AttemptEnd>),
}

/// An attempt's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptEnd {
    /// The answer to the effect.
    pub outcome: GitOutcome,
    /// What the next attempt at this repository and these branches begins with, if the driver keeps it.
    pub known: Known,
}

/// One attempt of a [`GitJob`].
#[derive(Debug)]
pub struct Attempt {
    session: Session,
    work: Work,
}

impl Attempt {
    /// Begins an attempt with the repository at `remote`. `known` is what an earlier one left.
    pub fn new(job: GitJob, remote: Remote, known: Known, limits: Limits) -> Self {
        let (job, work) = Work::new(job);
        Self {
            session: Session::new(job, remote, known, limits),
            work,
        }
    }

    /// What the driver is to do next.
    pub fn poll_action(&mut self) -> Option<AttemptAction> {
        loop {
            return Some(match self.session.poll_action()? {
                Action::Open {
                    channel,
                    service,
                    open,
                } => AttemptAction::Open {
                    channel,
                    service,
                    open,
                },
                Action::Send { channel, bytes } => AttemptAction::Send { channel, bytes },
                Action::Close { channel } => AttemptAction::Close { channel },
                Action::Sign { payload } => AttemptAction::Sign { payload },
                Action::Edit(worktree) => {
                    let edits = self.work.edit(&worktree);
                    self.session.handle_edits(edits);
                    continue;
                }
                Action::Finish(finished) => {
                    let Finished { outcome, known } = *finished;
                    let outcome = self.work.outcome_of(outcome);
                    AttemptAction::Finish(Box::new(AttemptEnd { outcome, known }))
                }
            });
        }
    }

    /// How many bytes of `channel` the driver may hand over next.
    pub fn can_take_bytes(&self, channel: ChannelId) -> usize {
        self.session.can_take_bytes(channel)
    }

    /// The head of an HTTP answer; header names in lower case.
    pub fn handle_head(&mut self, channel: ChannelId, status: u16, headers: &[(String, String)]) {
        self.session.handle_head(channel, status, headers);
    }

    /// The next piece of what a channel brings.
    pub fn handle_data(&mut self, channel: ChannelId, bytes: &[u8]) {
        self.session.handle_data(channel, bytes);
    }

    /// What the program of an SSH channel says to people.
    pub fn handle_message(&mut self, channel: ChannelId, text: &[u8]) {
        self.session.handle_message(channel, text);
    }

    /// A channel ended.
    pub fn handle_end(&mut self, channel: ChannelId, end: &ChannelEnd) {
        self.session.handle_end(channel, end);
    }

    /// The driver has signed, or says why not.
    pub fn handle_signature(&mut self, signature: Result<String, String>) {
        self.session.handle_signature(signature);
    }

    /// Gives up, wherever the attempt is.
    pub fn handle_cancel(&mut self, detail: &str) {
        self.session.handle_cancel(detail);
    }
}
