//! The fake remote as channels.

use image_updater_core::git::{Action, ChannelEnd, ChannelId, Open, Session};
use image_updater_fixtures::git::{GitRemote, Reply, SshChannel, SshReply};
use image_updater_fixtures::{Request, Response};

use super::{Channels, Transport};

/// Channels to a fake remote.
pub struct Fake<'a> {
    /// The remote.
    pub remote: &'a mut GitRemote,
    transport: Transport,
    /// How many bytes are handed over at once.
    pub piece_bytes: usize,
    live: Option<(ChannelId, SshChannel)>,
    /// Channels and requests.
    pub n_requests: usize,
}

impl<'a> Fake<'a> {
    /// Channels to `remote`.
    pub fn new(remote: &'a mut GitRemote, transport: Transport) -> Self {
        Self {
            remote,
            transport,
            piece_bytes: 1_000,
            live: None,
            n_requests: 0,
        }
    }

    fn on_ssh(&mut self, session: &mut Session, id: ChannelId, reply: &SshReply) {
        for piece in reply.data.chunks(self.piece_bytes) {
            session.handle_data(id, piece);
        }
        session.handle_message(id, &reply.message);
        if reply.is_lost {
            self.live = None;
            session.handle_end(id, &lost());
        } else if reply.is_ended {
            self.live = None;
            session.handle_end(id, &ChannelEnd::Finished);
        }
    }
}

fn lost() -> ChannelEnd {
    ChannelEnd::Broken {
        detail: "the connection was reset".into(),
    }
}

impl Channels for Fake<'_> {
    fn perform(&mut self, session: &mut Session, action: Action) {
        match action {
            Action::Open {
                channel: id,
                service,
                open,
            } => {
                self.n_requests += 1;
                match open {
                    Open::Http { .. } => {
                        assert_eq!(self.transport, Transport::Http);
                        let request = Request::from_git(open).expect("an absolute URL");
                        assert_eq!(request.host, "git.test", "our host");
                        match self.remote.handle_http(&request) {
                            Reply::Sent(Response {
                                status,
                                headers,
                                body,
                            }) => {
                                session.handle_head(id, status, &headers);
                                for piece in body.chunks(self.piece_bytes) {
                                    session.handle_data(id, piece);
                                }
                                session.handle_end(id, &ChannelEnd::Finished);
                            }
                            Reply::Lost => session.handle_end(id, &lost()),
                        }
                    }
                    Open::Ssh { environment, .. } => {
                        assert_eq!(self.transport, Transport::Ssh);
                        let (channel, reply) = self.remote.open(service, environment.is_some());
                        self.live = Some((id, channel));
                        self.on_ssh(session, id, &reply);
                    }
                }
            }
            Action::Send { channel: id, bytes } => {
                self.n_requests += 1;
                let Some((live, channel)) = &mut self.live else {
                    return;
                };
                assert_eq!(*live, id);
                let reply = channel.handle_data(self.remote, &bytes);
                self.on_ssh(session, id, &reply);
            }
            Action::Close { channel: id } => {
                if self.live.as_ref().is_some_and(|(live, _)| *live == id) {
                    self.live = None;
                    session.handle_end(id, &ChannelEnd::Finished);
                }
            }
            Action::Edit(_) | Action::Sign { .. } | Action::Finish(_) => {}
        }
    }

    fn bring(&mut self, _: &mut Session) -> bool {
        false
    }
}
