//! What the thread and its users share: the world, the switches, and one event for every change.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use event_listener::Event;
use image_updater_core::time::{Now, Time, UnixTime};
use image_updater_fixtures::cluster::ObjectKey;
use smol::Timer;

use super::WireWorld;

/// A port that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// The API server.
    Api,
    /// The registry with this index.
    Registry(usize),
}

/// How a port behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// It answers.
    #[default]
    Serving,
    /// It answers after so long.
    Slow(Duration),
    /// It takes requests and never answers them; its open requests are cut off when this ends.
    Hanging,
    /// It takes requests and answers them when this ends: the world can be changed in between.
    Holding,
    /// Nobody listens, and open connections are closed.
    Down,
}

/// How watches end that are ended from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchEnd {
    /// With the last chunk.
    #[default]
    Whole,
    /// In the middle.
    Broken,
}

/// The shared state and its event.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Event,
    start: Instant,
}

/// What is shared.
#[derive(Debug)]
pub(super) struct State {
    pub(super) world: WireWorld,
    pub(super) is_stopping: bool,
    /// How often all watches were ended, and how the last time.
    pub(super) watches_ended: (u64, WatchEnd),
    /// Applications that Argo CD has yet to sync, and when it will have.
    pub(super) syncs: BTreeMap<ObjectKey, Instant>,
    /// Patches that have arrived so far.
    pub(super) patches_arrived: u64,
    ports: BTreeMap<Port, PortState>,
}

/// One port's switch.
#[derive(Debug, Default)]
pub(super) struct PortState {
    /// How it is to behave.
    pub(super) conduct: Conduct,
    /// It listens.
    pub(super) is_open: bool,
}

impl Shared {
    pub(super) fn new(world: WireWorld) -> Self {
        let registries = (0..world.registries.len()).map(Port::Registry);
        let ports = registries.chain([Port::Api]);
        let state = State {
            is_stopping: false,
            watches_ended: (0, WatchEnd::Whole),
            syncs: BTreeMap::new(),
            patches_arrived: 0,
            ports: ports.map(|port| (port, PortState::default())).collect(),
            world,
        };
        Self {
            state: Mutex::new(state),
            changed: Event::new(),
            start: instant(),
        }
    }

    /// The state, also after somebody's closure has panicked with it: tests go on to their end.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits for something.
    pub(super) fn on_changed(&self) {
        self.changed.notify(usize::MAX);
    }

    pub(super) fn on_watches_ended(&self, end: WatchEnd) {
        {
            let ended = &mut self.lock().watches_ended;
            *ended = (ended.0 + 1, end);
        }
        self.on_changed();
    }

    /// Waits until `condition` gives a value.
    pub(super) async fn until<R>(&self, mut condition: impl FnMut(&mut State) -> Option<R>) -> R {
        loop {
            let listener = self.changed.listen();
            let found = condition(&mut self.lock());
            if let Some(found) = found {
                return found;
            }
            listener.await;
        }
    }

    /// Both clocks, as the fakes want them.
    #[expect(
        clippy::disallowed_methods,
        reason = "the world on sockets lives in real time"
    )]
    pub(super) fn now(&self) -> Now {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Time::ZERO.after(self.start.elapsed()),
            wall: UnixTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

impl State {
    /// The switch of `port`.
    pub(super) fn port(&mut self, port: Port) -> &mut PortState {
        self.ports.get_mut(&port).expect("there is such a port")
    }
}

/// The real time.
#[expect(
    clippy::disallowed_methods,
    reason = "the world on sockets lives in real time"
)]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// What `work` gives, or `None` when `timeout` passes first.
pub(super) async fn within<R>(timeout: Duration, work: impl Future<Output = R>) -> Option<R> {
    smol::future::or(async { Some(work.await) }, async {
        Timer::after(timeout).await;
        None
    })
    .await
}
