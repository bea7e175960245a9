//! The fake world on real sockets: one API server and any number of registries on loopback, served
//! from one thread.
//!
//! - The answers are those of `fixtures`, byte for byte; here are only sockets and HTTP/1.1.
//! - Nothing polls: whoever changes the world through [`Wire::with_world`] wakes every watch and
//!   every [`Wire::wait_for`].
//! - Every client is bounded in time, in bytes and in number, and none can end the thread.
//!
//! ```text
//!   test, demo ── with_world, switch, end_watches ──► State ◄── requests ── port ◄── clients
//!                                                       └── changed ──► watches, waiters, sync
//! ```

mod api;
mod connection;
mod message;
mod port;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{join, join_all};
use image_updater_fixtures::cluster::ObjectKey;
use image_updater_fixtures::{Cluster, Registry};
use serde_json::Value;

pub use state::{Conduct, Port, WatchEnd};

use state::Shared;

/// How long [`Wire::switch`] waits for a port to open or close.
const SWITCH_TIME_MAX: Duration = Duration::from_secs(10);

/// What is served.
#[derive(Clone, Debug)]
pub struct WireWorld {
    /// The API server.
    pub cluster: Cluster,
    /// The registries. Their `host` becomes the address under which they are served.
    pub registries: Vec<Registry>,
    /// How long after a patch Argo CD has synced the Application; `None` when it never does.
    pub sync_delay: Option<Duration>,
    /// How long a client may take to send a request or to accept an answer.
    pub client_patience: Duration,
    /// What the wire counts; ports that nobody has connected to are missing.
    pub connections: BTreeMap<Port, Connections>,
    /// The last patches that the API server was sent, oldest first; bounded.
    pub patches: VecDeque<SeenPatch>,
}

/// A patch as the API server was sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPatch {
    /// Its number, from 1 in the order of arrival.
    pub number: u64,
    /// Which Application.
    pub key: ObjectKey,
    /// The operations; null where they were no JSON.
    pub operations: Value,
    /// The status of the answer; `None` as long as there is none.
    pub status: Option<u16>,
}

/// The connections of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many are open.
    pub open: usize,
    /// How many there have been.
    pub accepted: u64,
    /// Requests that have arrived on them, answered or not.
    pub requests: u64,
}

impl WireWorld {
    /// An empty cluster and `n_registries` open registries without content.
    pub fn new(n_registries: usize) -> Self {
        Self {
            cluster: Cluster::default(),
            registries: vec![Registry::new(String::new()); n_registries],
            sync_delay: Some(Duration::from_millis(50)),
            client_patience: Duration::from_secs(10),
            connections: BTreeMap::new(),
            patches: VecDeque::new(),
        }
    }
}

/// The served world. It ends with [`Wire::stop`] or when it is dropped.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    api_address: SocketAddr,
    registry_addresses: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Serves `world`. The errors are those of binding a port and of starting a thread.
    pub fn start(mut world: WireWorld) -> io::Result<Self> {
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let api_address = api.local_addr()?;
        let mut listeners = vec![(Port::Api, api)];
        let mut registry_addresses = Vec::new();
        for (idx, registry) in world.registries.iter_mut().enumerate() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            registry.host = address.to_string();
            registry_addresses.push(address);
            listeners.push((Port::Registry(idx), listener));
        }
        let shared = Arc::new(Shared::new(world));
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("wire".to_owned())
                .spawn(move || smol::block_on(serve(&shared, listeners)))?
        };
        Ok(Self {
            shared,
            api_address,
            registry_addresses,
            thread: Some(thread),
        })
    }

    /// The base URL of the API server, without a trailing slash.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api_address)
    }

    /// Host and port of registry `idx`, as image references name it.
    ///
    /// # Panics
    /// When there are not that many registries.
    pub fn registry_host(&self, idx: usize) -> String {
        self.registry_addresses[idx].to_string()
    }

    /// The base URL of registry `idx`, without a trailing slash.
    ///
    /// # Panics
    /// When there are not that many registries.
    pub fn registry_url(&self, idx: usize) -> String {
        format!("http://{}", self.registry_addresses[idx])
    }

    /// A kubeconfig for the API server, with the namespace `argocd`.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: wire\n\
             clusters:\n\
             - name: wire\n  cluster:\n    server: {}\n\
             users:\n\
             - name: wire\n  user: {{}}\n\
             contexts:\n\
             - name: wire\n  context:\n    cluster: wire\n    user: wire\n    namespace: argocd\n",
            self.api_url()
        )
    }

    /// Looks at the world, or edits it; watches see an edit at once.
    pub fn with_world<R>(&self, edit: impl FnOnce(&mut WireWorld) -> R) -> R {
        let result = edit(&mut self.shared.lock().world);
        self.shared.on_changed();
        result
    }

    /// Waits until `condition` gives a value, and looks again after every change and every request;
    /// `None` when it did not within `timeout`. Blocks the thread.
    pub fn wait_for<R>(
        &self,
        timeout: Duration,
        condition: impl FnMut(&mut WireWorld) -> Option<R>,
    ) -> Option<R> {
        smol::block_on(self.until(timeout, condition))
    }

    /// What [`Wire::wait_for`] does, on any executor.
    pub async fn until<R>(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&mut WireWorld) -> Option<R>,
    ) -> Option<R> {
        let found = self.shared.until(|state| condition(&mut state.world));
        state::within(timeout, found).await
    }

    /// Lets `port` behave in this way from now on. When this returns, a port that is down refuses
    /// connections, and one that is not accepts them.
    ///
    /// # Panics
    /// When there is no such port, or it cannot be opened again: somebody else has taken it.
    pub fn switch(&self, port: Port, conduct: Conduct) {
        self.shared.lock().port(port).conduct = conduct;
        self.shared.on_changed();
        let is_open = conduct != Conduct::Down;
        let switched = self
            .shared
            .until(|state| (state.port(port).is_open == is_open).then_some(()));
        smol::block_on(state::within(SWITCH_TIME_MAX, switched))
            .expect("a port opens and closes when it is told to");
    }

    /// Ends all watches whose answers have begun, as a server does when their time is over.
    pub fn end_watches(&self) {
        self.shared.on_watches_ended(WatchEnd::Whole);
    }

    /// Breaks the connections of all watches in the middle of their answers.
    pub fn break_watches(&self) {
        self.shared.on_watches_ended(WatchEnd::Broken);
    }

    /// Ends the thread and closes every socket.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.on_changed();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed where it happened.
            drop(thread.join());
        }
    }
}

/// Everything the thread does, until it is told to stop.
async fn serve(shared: &Arc<Shared>, listeners: Vec<(Port, TcpListener)>) {
    let ports = listeners
        .into_iter()
        .map(|(port, listener)| port::serve(shared, port, listener));
    let work = join(join_all(ports), api::sync(shared));
    let stopped = shared.until(|state| state.is_stopping.then_some(()));
    smol::future::or(stopped, async {
        work.await;
    })
    .await;
}
