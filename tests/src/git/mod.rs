//! Sessions of the core's git machine, driven in one thread: against the `git` that is installed, through
//! pipes, and against the fake remote.

#![allow(
    clippy::missing_panics_doc,
    reason = "what goes wrong in the harness of a test fails the test"
)]

mod fake;
pub mod jobs;
mod pipe;
mod repository;

use image_updater_core::git::{Action, Edits, Finished, Session, Worktree};

pub use fake::Fake;
pub use pipe::{Pipes, Transport};
pub use repository::Repository;

/// What performs the channels of a session.
pub trait Channels {
    /// Performs an action that concerns a channel.
    fn perform(&mut self, session: &mut Session, action: Action);
    /// Brings the session what comes next, when it has no more actions. False when nothing can come.
    fn bring(&mut self, session: &mut Session) -> bool;
}

/// Drives `session` to its end; `edit` answers for the files, and signatures are their own length.
///
/// # Panics
/// When the session waits for nothing.
pub fn drive(
    mut session: Session,
    channels: &mut impl Channels,
    mut edit: impl FnMut(&Worktree) -> Edits,
) -> Finished {
    loop {
        match session.poll_action() {
            Some(Action::Finish(finished)) => {
                assert_eq!(session.poll_action(), None, "the last action is the last");
                return *finished;
            }
            Some(Action::Edit(worktree)) => session.handle_edits(edit(&worktree)),
            Some(Action::Sign { payload }) => {
                session.handle_signature(Ok(format!("signed {} bytes", payload.len())));
            }
            Some(action @ (Action::Open { .. } | Action::Send { .. } | Action::Close { .. })) => {
                channels.perform(&mut session, action);
            }
            None => assert!(
                channels.bring(&mut session),
                "the session waits for nothing"
            ),
        }
    }
}
