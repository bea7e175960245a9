//! What a request holds of a line, each given back when it is dropped.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::connection::Carrier;
use super::line::Line;

/// How long a connection of HTTP/1.1 may take, after the response's last byte, until it can carry the
/// next request. It takes longer only when the server has answered before it read the whole request.
const SETTLING_TIME_MAX: Duration = Duration::from_millis(100);

/// One socket in the count, from before it is opened until it is closed. It does not keep the line: with
/// the last line that knows a connection, that ends.
#[derive(Debug)]
pub(super) struct Socket {
    line: Weak<Line>,
    id: u64,
}

impl Socket {
    /// For a socket that has been counted, of the connection with this number.
    pub(super) fn new(line: &Arc<Line>, id: u64) -> Self {
        Self {
            line: Arc::downgrade(line),
            id,
        }
    }

    /// The number of its connection.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(line) = self.line.upgrade() {
            line.on_closed(self.id);
        }
    }
}

/// One connection that is being opened.
#[derive(Debug)]
pub(super) struct Dialing {
    /// `None` once it is open.
    line: Option<Arc<Line>>,
}

impl Dialing {
    /// For a connection that has been counted.
    pub(super) fn new(line: &Arc<Line>) -> Self {
        Self {
            line: Some(Arc::clone(line)),
        }
    }

    /// It is open; the line counts it from here.
    pub(super) fn finish(mut self) {
        self.line = None;
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.on_dial_failed();
        }
    }
}

/// A connection that carries one's request. Dropped, it is closed: the request was given up, or the
/// response is not whole.
#[derive(Debug)]
pub(super) struct Lease {
    line: Arc<Line>,
    /// `None` once it was given back.
    carrier: Option<Carrier>,
    /// It carried requests before.
    pub(super) is_reused: bool,
}

impl Lease {
    /// For a connection that the line counts as busy.
    pub(super) fn new(line: &Arc<Line>, carrier: Carrier, is_reused: bool) -> Self {
        Self {
            line: Arc::clone(line),
            carrier: Some(carrier),
            is_reused,
        }
    }

    /// The connection.
    pub(super) fn carrier(&mut self) -> &mut Carrier {
        self.carrier
            .as_mut()
            .expect("a lease has its connection until it is given back")
    }

    /// Gives the connection back after a whole response; it is closed if it cannot go on.
    pub(super) async fn give_back(mut self) {
        let can_go_on = match self.carrier() {
            Carrier::Http1(connection) => {
                let ready = tokio::time::timeout(SETTLING_TIME_MAX, connection.sender.ready());
                matches!(ready.await, Ok(Ok(())))
            }
            Carrier::Http2(_) => true,
        };
        if can_go_on && let Some(carrier) = self.carrier.take() {
            self.line.give_back(carrier);
        }
    }

    /// Gives up the connection, which shall carry no further requests.
    pub(super) fn retire(mut self) {
        if let Some(carrier) = self.carrier.take() {
            self.line.give_up(carrier, true);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.take() {
            self.line.give_up(carrier, false);
        }
    }
}
