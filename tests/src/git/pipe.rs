//! The services of the `git` that is installed, as channels: one process for each.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use image_updater_core::git::{Action, ChannelEnd, ChannelId, Open, Service, Session};

use super::Channels;
use super::repository::{Repository, git};

/// How the services are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// As a web server does: one process for each request.
    Http,
    /// As a shell does: one process for each channel.
    Ssh,
}

/// Channels to one repository.
pub struct Pipes<'a> {
    repository: &'a Repository,
    transport: Transport,
    /// The wish for version 2 is passed on.
    is_v2: bool,
    live: Option<(ChannelId, Child, Receiver<Vec<u8>>)>,
    /// What the session sent and was sent, in bytes.
    pub n_sent: usize,
    /// What it was sent.
    pub n_received: usize,
    /// Channels and requests.
    pub n_requests: usize,
    /// The reply to a push is lost: its channel breaks after the server took it.
    pub is_reply_lost: bool,
    /// What happens before a push is handed over.
    pub before_push: Option<Box<dyn FnMut() + 'a>>,
}

impl<'a> Pipes<'a> {
    /// Channels to `repository`.
    pub fn new(repository: &'a Repository, transport: Transport, is_v2: bool) -> Self {
        Self {
            repository,
            transport,
            is_v2,
            live: None,
            n_sent: 0,
            n_received: 0,
            n_requests: 0,
            is_reply_lost: false,
            before_push: None,
        }
    }

    fn service(&self, service: Service, arguments: &[&str]) -> Command {
        let mut command = git(self.repository.path());
        command.arg(service.as_str().trim_start_matches("git-"));
        command.args(arguments).arg(".");
        if self.is_v2 && service == Service::UploadPack {
            command.env("GIT_PROTOCOL", "version=2");
        } else {
            command.env_remove("GIT_PROTOCOL");
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    fn http(&mut self, session: &mut Session, id: ChannelId, service: Service, body: &[u8]) {
        let is_post = !body.is_empty();
        let flag = if is_post {
            "--stateless-rpc"
        } else {
            "--http-backend-info-refs"
        };
        let mut child = self.service(service, &[flag]).spawn().expect("git runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let body = body.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output().expect("git runs");
        writer.join().expect("the body is written");
        if self.is_reply_lost && service == Service::ReceivePack {
            let detail = "the connection was reset".to_owned();
            return session.handle_end(id, &ChannelEnd::Broken { detail });
        }
        let kind = if is_post { "result" } else { "advertisement" };
        let kind = format!("application/x-{}-{kind}", service.as_str());
        session.handle_head(id, 200, &[("content-type".into(), kind)]);
        let mut reply = Vec::new();
        if !is_post && !self.is_v2 {
            reply.extend_from_slice(b"001e# service=git-upload-pack\n0000");
        }
        reply.extend_from_slice(&output.stdout);
        self.n_received += reply.len();
        for piece in reply.chunks(session.can_take_bytes(id).clamp(1, 8_000)) {
            session.handle_data(id, piece);
        }
        session.handle_end(id, &ChannelEnd::Finished);
    }

    fn on_push(&mut self, service: Service) {
        if service == Service::ReceivePack
            && let Some(before) = &mut self.before_push
        {
            before();
        }
    }

    fn end(&mut self) {
        if let Some((_, mut child, _)) = self.live.take() {
            drop(child.stdin.take());
            child.wait().expect("git ends");
        }
    }
}

impl Channels for Pipes<'_> {
    fn perform(&mut self, session: &mut Session, action: Action) {
        match action {
            Action::Open {
                channel: id,
                service,
                open,
            } => {
                self.n_requests += 1;
                match open {
                    Open::Http { body, url, .. } => {
                        assert_eq!(self.transport, Transport::Http);
                        assert!(url.starts_with("https://git.test/repo/"), "{url}");
                        self.n_sent += body.len();
                        self.on_push(service);
                        self.http(session, id, service, &body);
                    }
                    Open::Ssh { command, .. } => {
                        assert_eq!(self.transport, Transport::Ssh);
                        assert_eq!(command, format!("{} '/repo'", service.as_str()));
                        let mut child = self.service(service, &[]).spawn().expect("git runs");
                        let mut stdout = child.stdout.take().expect("a pipe");
                        let (sender, receiver) = channel();
                        std::thread::spawn(move || {
                            let mut piece = vec![0; 10_000];
                            while let Ok(n @ 1..) = stdout.read(&mut piece) {
                                if sender.send(piece[..n].to_vec()).is_err() {
                                    return;
                                }
                            }
                        });
                        self.live = Some((id, child, receiver));
                    }
                }
            }
            Action::Send { channel: id, bytes } => {
                self.n_requests += 1;
                self.n_sent += bytes.len();
                let is_push = bytes.windows(13).any(|word| word == b"report-status");
                if is_push {
                    self.on_push(Service::ReceivePack);
                }
                let Some((live, child, _)) = &mut self.live else {
                    return;
                };
                assert_eq!(*live, id);
                let stdin = child.stdin.as_mut().expect("a pipe");
                stdin.write_all(&bytes).expect("git reads");
                stdin.flush().expect("git reads");
                if is_push && self.is_reply_lost {
                    self.end();
                    let detail = "the connection was reset".to_owned();
                    session.handle_end(id, &ChannelEnd::Broken { detail });
                }
            }
            Action::Close { channel: id } => {
                if self.live.as_ref().is_some_and(|(live, ..)| *live == id) {
                    self.end();
                    session.handle_end(id, &ChannelEnd::Finished);
                }
            }
            Action::Edit(_) | Action::Sign { .. } | Action::Finish(_) => {}
        }
    }

    fn bring(&mut self, session: &mut Session) -> bool {
        let Some((id, _, receiver)) = &self.live else {
            return false;
        };
        let id = *id;
        if let Ok(piece) = receiver.recv() {
            self.n_received += piece.len();
            session.handle_data(id, &piece);
        } else {
            self.end();
            session.handle_end(id, &ChannelEnd::Finished);
        }
        true
    }
}

impl Drop for Pipes<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
