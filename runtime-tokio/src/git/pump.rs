//! What stands between a session and its channels: performs what it wishes, and brings what comes.

use std::time::Duration;

use image_updater_core::git::{Action, ChannelEnd, ChannelId};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, sleep_until};

use super::channel::{Brought, Channel, Opener};
use super::signer::Signer;
use super::work::Told;
use crate::clock::stopwatch;

/// Performs what a session wishes, one thing after the other.
///
/// From each request on a channel to the end of its answer there is `limit`; a server that says something now
/// and then, as one does whose hook is slow, is not given more.
pub(super) struct Pump<'a> {
    pub(super) opener: &'a mut dyn Opener,
    pub(super) signer: &'a Signer,
    pub(super) limit: Duration,
    /// The channel in use.
    pub(super) live: Option<Live>,
}

/// An open channel.
pub(super) struct Live {
    id: ChannelId,
    channel: Box<dyn Channel>,
    deadline: Instant,
}

enum Step {
    Wish(Action),
    Brought,
    Ended,
    Overdue,
}

impl Pump<'_> {
    /// Goes on until nobody wishes any more.
    pub(super) async fn run(mut self, mut wishes: UnboundedReceiver<Action>, told: Sender<Told>) {
        while let Some(step) = self.step(&mut wishes, &told).await {
            let news = match step {
                Step::Wish(wish) => self.perform(wish).await,
                Step::Brought => None,
                Step::Ended => {
                    // Its connection is used again.
                    if let Some(live) = self.live.take() {
                        live.channel.close().await;
                    }
                    None
                }
                Step::Overdue => self.live.take().map(|live| {
                    let limit = self.limit;
                    let detail = format!("the server has not answered within {limit:?}");
                    Told::Channel(live.id, Brought::End(ChannelEnd::Broken { detail }))
                }),
            };
            if let Some(news) = news
                && told.send(news).await.is_err()
            {
                return;
            }
        }
    }

    async fn step(
        &mut self,
        wishes: &mut UnboundedReceiver<Action>,
        told: &Sender<Told>,
    ) -> Option<Step> {
        let Some(live) = &mut self.live else {
            return wishes.recv().await.map(Step::Wish);
        };
        let (id, deadline) = (live.id, live.deadline);
        // The room is there before something is taken to fill it.
        let next = async {
            let room = told.reserve().await;
            (room, live.channel.next().await)
        };
        tokio::select! {
            biased;
            wish = wishes.recv() => wish.map(Step::Wish),
            () = sleep_until(deadline) => Some(Step::Overdue),
            (room, brought) = next => {
                let is_end = matches!(brought, Brought::End(_));
                room.ok()?.send(Told::Channel(id, brought));
                Some(if is_end { Step::Ended } else { Step::Brought })
            }
        }
    }

    /// Performs a wish; what the session is told of it at once.
    async fn perform(&mut self, wish: Action) -> Option<Told> {
        match wish {
            Action::Open {
                channel: id,
                service,
                open,
            } => {
                let deadline = stopwatch() + self.limit;
                match self.opener.open(service, open, self.limit).await {
                    Ok(channel) => {
                        self.live = Some(Live {
                            id,
                            channel,
                            deadline,
                        });
                        None
                    }
                    Err(end) => Some(Told::Channel(id, Brought::End(end))),
                }
            }
            Action::Send { channel: id, bytes } => {
                if let Some(live) = self.live.as_mut().filter(|live| live.id == id) {
                    live.channel.send(bytes);
                    live.deadline = stopwatch() + self.limit;
                }
                None
            }
            Action::Close { channel: id } => {
                let live = self.live.take_if(|live| live.id == id)?;
                live.channel.close().await;
                Some(Told::Channel(id, Brought::End(ChannelEnd::Finished)))
            }
            Action::Sign { payload } => {
                let signature = self.signer.sign(&payload, self.limit).await;
                Some(Told::Signature(signature))
            }
            // These are the session's own.
            Action::Edit(_) | Action::Finish(_) => None,
        }
    }
}
