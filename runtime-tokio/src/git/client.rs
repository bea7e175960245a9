//! The client: one attempt of one job with a Git server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use image_updater_core::git::{
    ChannelEnd, Finished, Known, Open, Outcome, Refusal, RefusalKind, Service, Session,
};
use image_updater_core::repo::credential::GitCredential;
use rustls::RootCertStore;
use tokio::sync::mpsc;
use tokio::task::JoinError;

use super::channel::{Channel, Opener};
use super::destination::{Destination, Way};
use super::echo;
use super::https::HttpOpener;
use super::pump::Pump;
use super::settings::GitSettings;
use super::signer::Signer;
use super::ssh::SshOpener;
use super::token::Tokens;
use super::work::{Editor, GIVEN_UP, work};
use crate::spawn::{Cancelled, spawn_blocking};

/// Pieces that are under way to a session.
const PIECES_MAX: usize = 4;

/// Runs sessions. What it keeps from one to the next are tokens.
#[derive(Clone, Debug)]
pub struct GitClient {
    settings: Arc<GitSettings>,
    roots: Arc<RootCertStore>,
    tokens: Arc<Tokens>,
}

impl GitClient {
    /// A client that trusts `roots`, and whom the folder of the settings names beside them.
    pub fn new(settings: GitSettings, roots: RootCertStore) -> Self {
        Self {
            tokens: Arc::new(Tokens::new(settings.token_lifetime)),
            settings: Arc::new(settings),
            roots: Arc::new(roots),
        }
    }

    /// Runs `session`, which was begun for [`Destination::remote`], to its end. Every exchange has its time,
    /// and so ends all of it. Dropped before, it closes its connections: what became of a push is then not
    /// known.
    ///
    /// # Panics
    /// When the session or `editor` does.
    pub async fn run(
        &self,
        session: Session,
        destination: &Destination,
        credential: &GitCredential,
        signer: &Signer,
        editor: Editor,
    ) -> Finished {
        let never = Cancelled::never();
        self.run_until(session, destination, credential, signer, editor, never)
            .await
    }

    /// The same, until it is `cancelled`: then the session is told, and says how far it came.
    ///
    /// # Panics
    /// When the session or `editor` does.
    pub async fn run_until(
        &self,
        session: Session,
        destination: &Destination,
        credential: &GitCredential,
        signer: &Signer,
        editor: Editor,
        mut cancelled: Cancelled,
    ) -> Finished {
        let mut opener = self.opener(destination, credential);
        let (wish, wishes) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::channel(PIECES_MAX);
        let worker = spawn_blocking(move || work(session, editor, &wish, told));
        let pump = Pump {
            opener: &mut *opener,
            signer,
            limit: self.settings.exchange_timeout,
            live: None,
        };
        // With the pump ends what the session hears, and so it gives up.
        tokio::select! {
            () = pump.run(wishes, tell) => {}
            () = cancelled.wait() => {}
        }
        let mut finished = match worker.await.map_err(JoinError::try_into_panic) {
            Ok(finished) => finished,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The process ends: the thread was not begun, so that nothing was sent.
            Err(Err(_cancelled)) => Finished {
                outcome: Outcome::Refused(Refusal::new(RefusalKind::Transport, GIVEN_UP)),
                known: Known::default(),
            },
        };
        echo::remove(&mut finished, &opener.secrets());
        finished
    }

    fn opener(&self, destination: &Destination, credential: &GitCredential) -> Box<dyn Opener> {
        let opener: Result<Box<dyn Opener>, ChannelEnd> = match &destination.way {
            Way::Http { url, user } => HttpOpener::new(
                url,
                user.as_ref(),
                credential,
                &self.settings,
                &self.roots,
                &self.tokens,
            )
            .map(|opener| Box::new(opener) as _),
            Way::Ssh(address) => {
                SshOpener::new(address.clone(), credential, &self.settings, &self.roots)
                    .map(|opener| Box::new(opener) as _)
            }
        };
        opener.unwrap_or_else(|end| Box::new(Shut(end)))
    }
}

/// What opens nothing, because the credential cannot be used.
struct Shut(ChannelEnd);

#[async_trait]
impl Opener for Shut {
    async fn open(
        &mut self,
        _service: Service,
        _open: Open,
        _limit: Duration,
    ) -> Result<Box<dyn Channel>, ChannelEnd> {
        Err(self.0.clone())
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}
