//! What the two ways to a Git server have in common: channels that are opened, bring something, and end.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use image_updater_core::git::{ChannelEnd, Open, Service};

/// What opens channels to one server, over connections that end with it.
#[async_trait]
pub(super) trait Opener: Send {
    /// Opens a channel within `limit`. Errs with how it ended before it was open.
    async fn open(
        &mut self,
        service: Service,
        open: Open,
        limit: Duration,
    ) -> Result<Box<dyn Channel>, ChannelEnd>;

    /// Texts that the server was shown, and that nobody else may see.
    fn secrets(&self) -> Vec<String>;
}

/// An open channel.
#[async_trait]
pub(super) trait Channel: Send {
    /// What comes next; nothing comes behind [`Brought::End`]. It can be given up and called again.
    async fn next(&mut self) -> Brought;

    /// Sends further bytes, in their order, while it brings what comes.
    fn send(&mut self, bytes: Vec<u8>);

    /// Nothing more of it is wanted.
    async fn close(self: Box<Self>);
}

/// What a channel brings.
#[derive(Debug)]
pub(super) enum Brought {
    /// The head of an answer over HTTP.
    Head(u16, Vec<(String, String)>),
    /// The next piece.
    Data(Bytes),
    /// What the program on the other side says to people.
    Message(Bytes),
    /// Its end.
    End(ChannelEnd),
}
