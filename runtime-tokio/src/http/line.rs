//! One host of a pool: its connections, counted exactly, and the line of requests that wait for one.
//!
//! - A socket counts from before it is opened until it is closed: [`Socket`] lies beside the stream, in
//!   whoever's hands that is. There are never more than the bound.
//! - Whoever wants a connection stands in line, also when one is free: what becomes free goes to the
//!   first who still waits.
//! - Until a server over TLS has said what it speaks, one connection is opened and the others wait for
//!   it: with HTTP/2 it carries them all. After a connection that failed they no longer do.
//!
//! ```text
//!  take ─► waiting ─► Dial ──open──► busy ──give_back──► idle ─┐
//!             ▲  └──► Kept ───────────┘ └─drop─► closing        │ closed by the server,
//!             └────────────── what becomes free ◄───────────────┘ by age, or for others
//! ```

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection::{Carrier, Http1, Http2};
use super::footprint::Sockets;
use super::lease::{Dialing, Lease, Socket};
use crate::clock::stopwatch;

/// The connections to one host.
#[derive(Debug)]
pub(super) struct Line {
    sockets_max: usize,
    idle_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    n_sockets: usize,
    n_connecting: usize,
    /// Connections of HTTP/1.1 that carry a request.
    n_busy: usize,
    /// Connections of HTTP/1.1 that carry none, the longest idle first.
    idle: Vec<Idle>,
    /// Connections of HTTP/2.
    shared: Vec<Shared>,
    waiting: VecDeque<oneshot::Sender<Grant>>,
    /// Further connections may be opened before the first has said what it speaks.
    is_fanned_out: bool,
    n_opened: u64,
    /// Where the last connection was made to.
    reached: Option<IpAddr>,
}

#[derive(Debug)]
struct Idle {
    connection: Http1,
    since: Instant,
}

#[derive(Debug)]
struct Shared {
    connection: Http2,
    n_streams: usize,
    /// Since when it carries nothing, or the last moment when it began to carry something.
    since: Instant,
    is_retired: bool,
}

/// What the first in line is given. It has been counted; [`Waiting`] gives it back if nobody takes it.
#[derive(Debug)]
enum Grant {
    /// Leave to open the connection with this number.
    Dial(u64),
    Kept(Carrier),
}

/// What a request goes on with.
pub(super) enum Taken {
    /// It may open a connection.
    Dial(Dialing, Socket),
    /// A connection that is open already.
    Kept(Lease),
}

impl Line {
    /// No connections yet, over TLS or not, and at most `sockets_max` at a time, of which `idle_max` may be idle.
    pub(super) fn new(is_tls: bool, sockets_max: usize, idle_max: usize) -> Self {
        Self {
            sockets_max: sockets_max.max(1),
            idle_max,
            state: Mutex::new(State {
                is_fanned_out: !is_tls,
                ..State::default()
            }),
        }
    }

    /// Waits for a connection, or for leave to open one.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            state.waiting.push_back(sender);
            self.serve(&mut state);
        }
        let mut waiting = Waiting {
            line: self,
            receiver,
        };
        let grant = (&mut waiting.receiver)
            .await
            .expect("a line serves everybody who waits in it");
        match grant {
            Grant::Kept(carrier) => Taken::Kept(Lease::new(self, carrier, true)),
            Grant::Dial(id) => Taken::Dial(Dialing::new(self), Socket::new(self, id)),
        }
    }

    /// Takes in a connection that its opener will use first.
    pub(super) fn open(self: &Arc<Self>, dialing: Dialing, opened: Carrier) -> Lease {
        dialing.finish();
        let mut state = self.lock();
        state.n_connecting -= 1;
        let carrier = match opened {
            Carrier::Http1(connection) => {
                state.is_fanned_out = true;
                state.n_busy += 1;
                Carrier::Http1(connection)
            }
            Carrier::Http2(connection) => {
                state.is_fanned_out = false;
                state.shared.push(Shared {
                    connection: connection.clone(),
                    n_streams: 1,
                    since: stopwatch(),
                    is_retired: false,
                });
                Carrier::Http2(connection)
            }
        };
        self.serve(&mut state);
        drop(state);
        Lease::new(self, carrier, false)
    }

    /// Takes back a connection that can carry further requests.
    pub(super) fn give_back(&self, carrier: Carrier) {
        let mut state = self.lock();
        match carrier {
            Carrier::Http1(connection) => {
                state.n_busy -= 1;
                state.idle.push(Idle {
                    connection,
                    since: stopwatch(),
                });
            }
            Carrier::Http2(connection) => state.end_stream(&connection, false),
        }
        self.serve(&mut state);
        if state.idle.len() > self.idle_max {
            state.idle.remove(0);
        }
        if state.n_idle() > self.idle_max {
            state.shared.retain(|shared| shared.n_streams > 0);
        }
    }

    /// Closes a connection, or only a request's stream in it if others use it too. A connection that is
    /// `retired` carries no further requests.
    pub(super) fn give_up(&self, carrier: Carrier, is_retired: bool) {
        let mut state = self.lock();
        match carrier {
            Carrier::Http1(_closed) => state.n_busy -= 1,
            Carrier::Http2(connection) => state.end_stream(&connection, is_retired),
        }
        self.serve(&mut state);
    }

    /// A connection could not be opened.
    pub(super) fn on_dial_failed(&self) {
        let mut state = self.lock();
        state.n_connecting -= 1;
        state.is_fanned_out = true;
        self.serve(&mut state);
    }

    /// The socket of connection `id` was closed.
    pub(super) fn on_closed(&self, id: u64) {
        let mut state = self.lock();
        state.n_sockets -= 1;
        state.idle.retain(|idle| idle.connection.id != id);
        state.shared.retain(|shared| shared.connection.id != id);
        self.serve(&mut state);
    }

    /// Closes connections that have been idle since before `since`; returns how many.
    pub(super) fn close_idle(&self, since: Instant) -> usize {
        let mut state = self.lock();
        let n_before = state.n_idle();
        state.idle.retain(|idle| idle.since > since);
        state
            .shared
            .retain(|shared| shared.n_streams > 0 || shared.since > since);
        n_before - state.n_idle()
    }

    /// Since when its longest idle connection has been idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        let idle = state.idle.iter().map(|idle| idle.since);
        let shared = state.shared.iter().filter(|shared| shared.n_streams == 0);
        idle.chain(shared.map(|shared| shared.since)).min()
    }

    /// True when it has no sockets and nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.n_sockets == 0 && state.n_waiting() == 0
    }

    /// True when requests are under way or wait.
    pub(super) fn is_in_use(&self) -> bool {
        let state = self.lock();
        let sockets = state.sockets();
        sockets.connecting + sockets.busy + state.n_waiting() > 0
    }

    /// Its sockets, and how many requests wait.
    pub(super) fn footprint(&self) -> (Sockets, usize) {
        let state = self.lock();
        (state.sockets(), state.n_waiting())
    }

    /// The address that was reached last: it goes first the next time.
    pub(super) fn reached(&self) -> Option<IpAddr> {
        self.lock().reached
    }

    /// Remembers an address that was reached.
    pub(super) fn on_reached(&self, address: IpAddr) {
        self.lock().reached = Some(address);
    }

    /// How many connections are idle.
    pub(super) fn n_idle(&self) -> usize {
        self.lock().n_idle()
    }

    /// Why a request waits for so long, for people.
    pub(super) fn describe_wait(&self) -> String {
        let (sockets, n_waiting) = self.footprint();
        format!(
            "{} of {} connections are open, {n_waiting} requests wait",
            sockets.open(),
            self.sockets_max
        )
    }

    fn serve(&self, state: &mut State) {
        while let Some(first) = state.waiting.front() {
            if first.is_closed() {
                state.waiting.pop_front();
                continue;
            }
            let Some(grant) = self.grant(state) else {
                return;
            };
            let unserved = match state.waiting.pop_front() {
                Some(first) => first.send(grant).err(),
                None => Some(grant),
            };
            if let Some(grant) = unserved {
                state.take_back(grant);
            }
        }
    }

    fn grant(&self, state: &mut State) -> Option<Grant> {
        state.forget_closed();
        let shared = state.shared.iter_mut().find(|shared| shared.has_room());
        if let Some(shared) = shared {
            shared.n_streams += 1;
            shared.since = stopwatch();
            return Some(Grant::Kept(Carrier::Http2(shared.connection.clone())));
        }
        if let Some(idle) = state.idle.pop() {
            state.n_busy += 1;
            return Some(Grant::Kept(Carrier::Http1(idle.connection)));
        }
        let may_open = state.is_fanned_out || state.n_connecting == 0;
        if may_open && state.n_sockets < self.sockets_max {
            state.n_sockets += 1;
            state.n_connecting += 1;
            state.n_opened += 1;
            return Some(Grant::Dial(state.n_opened));
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_back(&mut self, grant: Grant) {
        match grant {
            Grant::Dial(_) => {
                self.n_sockets -= 1;
                self.n_connecting -= 1;
            }
            Grant::Kept(Carrier::Http1(connection)) => {
                self.n_busy -= 1;
                self.idle.push(Idle {
                    connection,
                    since: stopwatch(),
                });
            }
            Grant::Kept(Carrier::Http2(connection)) => self.end_stream(&connection, false),
        }
    }

    fn end_stream(&mut self, connection: &Http2, is_retired: bool) {
        // It may have been closed and forgotten while its requests were still being told so.
        let Some(shared) = self
            .shared
            .iter_mut()
            .find(|shared| shared.connection.id == connection.id)
        else {
            return;
        };
        shared.n_streams -= 1;
        shared.since = stopwatch();
        shared.is_retired |= is_retired;
        self.forget_closed();
    }

    /// Lets go of connections that can carry nothing any more.
    fn forget_closed(&mut self) {
        self.idle.retain(|idle| !idle.connection.sender.is_closed());
        self.shared.retain(|shared| {
            let is_over = shared.is_retired || shared.connection.sender.is_closed();
            shared.n_streams > 0 || !is_over
        });
    }

    fn n_idle(&self) -> usize {
        let shared = self.shared.iter().filter(|shared| shared.n_streams == 0);
        self.idle.len() + shared.count()
    }

    fn n_waiting(&self) -> usize {
        let waiting = self.waiting.iter().filter(|waiting| !waiting.is_closed());
        waiting.count()
    }

    /// Sums up to the number of sockets: a request whose connection has broken may not know it yet.
    fn sockets(&self) -> Sockets {
        let idle = self.n_idle();
        let n_others = self.n_sockets.saturating_sub(self.n_connecting + idle);
        let n_shared_busy = self.idle.len() + self.shared.len() - idle;
        let busy = n_others.min(self.n_busy + n_shared_busy);
        Sockets {
            connecting: self.n_connecting,
            busy,
            idle,
            closing: n_others - busy,
        }
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        let is_over = self.is_retired || self.connection.sender.is_closed();
        !is_over && self.n_streams < self.connection.streams_max()
    }
}

/// Somebody in line. Leaves it when dropped, and gives back what it was given and did not take.
struct Waiting<'a> {
    line: &'a Line,
    receiver: oneshot::Receiver<Grant>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        let untaken = self.receiver.try_recv().ok();
        let mut state = self.line.lock();
        state.waiting.retain(|waiting| !waiting.is_closed());
        if let Some(grant) = untaken {
            state.take_back(grant);
            self.line.serve(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn plain_connections_are_opened_up_to_the_bound_and_no_further() {
        let line = line(false, 2);
        let first = dial(&line).expect("there is room");
        let _second = dial(&line).expect("there is room");
        assert!(dial(&line).is_none());
        assert_eq!(footprint(&line), (2, 2));
        drop(first);
        assert!(dial(&line).is_some());
    }

    #[test]
    fn place_is_given_up_with_the_socket_and_not_before() {
        let line = line(false, 1);
        let (dialing, socket) = dial(&line).expect("there is room");
        drop(dialing);
        assert_eq!(footprint(&line), (1, 0));
        assert!(dial(&line).is_none(), "the socket is not closed yet");
        drop(socket);
        assert!(dial(&line).is_some());
    }

    #[test]
    fn over_tls_the_first_connection_goes_ahead_and_a_failed_one_holds_up_nobody() {
        let line = line(true, 3);
        let first = dial(&line).expect("there is room");
        let mut others: Vec<_> = (0..4).map(|_| Box::pin(line.take())).collect();
        for other in &mut others {
            assert!(other.as_mut().now_or_never().is_none());
        }
        drop(first);
        let taken: Vec<_> = others
            .iter_mut()
            .map(|other| other.as_mut().now_or_never())
            .collect();
        let n_taken = taken.iter().flatten().count();
        assert_eq!((n_taken, footprint(&line)), (3, (3, 3)));
    }

    #[test]
    fn what_becomes_free_goes_to_the_first_who_still_waits() {
        let line = line(false, 1);
        let busy = dial(&line).expect("there is room");
        let mut waiting: Vec<_> = (0..4).map(|_| Some(Box::pin(line.take()))).collect();
        for take in waiting.iter_mut().flatten() {
            assert!(take.now_or_never().is_none());
        }
        // One leaves while it waits, one after it was given its place.
        waiting[0] = None;
        drop(busy);
        waiting[1] = None;
        let mut is_served = |idx: usize| {
            let take = waiting[idx].as_mut().expect("it still waits");
            take.now_or_never().is_some()
        };
        assert!(!is_served(3), "it is not its turn");
        assert!(is_served(2));
        assert!(is_served(3), "the place was given back at once");
        assert_eq!(footprint(&line), (0, 0));
    }

    fn line(is_tls: bool, sockets_max: usize) -> Arc<Line> {
        Arc::new(Line::new(is_tls, sockets_max, 10))
    }

    fn dial(line: &Arc<Line>) -> Option<(Dialing, Socket)> {
        match line.take().now_or_never()? {
            Taken::Dial(dialing, socket) => Some((dialing, socket)),
            Taken::Kept(_) => panic!("nothing is open"),
        }
    }

    /// Sockets, and how many of them are being opened.
    fn footprint(line: &Line) -> (usize, usize) {
        let (sockets, _) = line.footprint();
        (sockets.open(), sockets.connecting)
    }
}
