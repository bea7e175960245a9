//! The thread on which a session works: unpacking, hashing and editing hold nobody else up.

use image_updater_core::git::{Action, ChannelId, Edits, Finished, Session, Worktree};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::channel::Brought;

/// What answers for the files of a publish; it runs on the session's thread.
pub type Editor = Box<dyn FnMut(&Worktree) -> Edits + Send>;

/// What the session is told.
#[derive(Debug)]
pub(super) enum Told {
    /// What a channel brought.
    Channel(ChannelId, Brought),
    /// The signature that was asked for, or why there is none.
    Signature(Result<String, String>),
}

/// Drives `session` to its end. What is not its own work is asked for through `wishes`, whose number is that
/// of the session's requests.
pub(super) fn work(
    mut session: Session,
    mut editor: Editor,
    wishes: &UnboundedSender<Action>,
    mut told: Receiver<Told>,
) -> Finished {
    loop {
        match session.poll_action() {
            Some(Action::Finish(finished)) => return *finished,
            Some(Action::Edit(worktree)) => session.handle_edits(editor(&worktree)),
            Some(
                action @ (Action::Open { .. }
                | Action::Send { .. }
                | Action::Close { .. }
                | Action::Sign { .. }),
            ) => {
                if wishes.send(action).is_err() {
                    session.handle_cancel(GIVEN_UP);
                }
            }
            None => match told.blocking_recv() {
                Some(news) => handle(&mut session, news),
                None => session.handle_cancel(GIVEN_UP),
            },
        }
    }
}

/// What is said of an attempt that nobody waits for any more.
pub(super) const GIVEN_UP: &str = "the attempt was given up";

fn handle(session: &mut Session, news: Told) {
    match news {
        Told::Signature(signature) => session.handle_signature(signature),
        Told::Channel(id, Brought::Head(status, headers)) => {
            session.handle_head(id, status, &headers);
        }
        Told::Channel(id, Brought::Data(bytes)) => {
            let mut rest = &*bytes;
            while !rest.is_empty() {
                let n_bytes = session.can_take_bytes(id).min(rest.len());
                // Nothing more is wanted of the channel.
                if n_bytes == 0 {
                    return;
                }
                let (piece, behind) = rest.split_at(n_bytes);
                session.handle_data(id, piece);
                rest = behind;
            }
        }
        Told::Channel(id, Brought::Message(text)) => session.handle_message(id, &text),
        Told::Channel(id, Brought::End(end)) => session.handle_end(id, &end),
    }
}
