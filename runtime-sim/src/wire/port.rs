//! One port: it listens, serves its connections, and is down when it is told to be.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use smol::{Async, Timer};

use super::connection;
use super::state::{Conduct, Port, Shared};

/// Most connections of one port; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 1024;
/// Pause after a failed bind or accept, which nothing announces the end of.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Serves `port` for ever.
pub(super) async fn serve(shared: &Arc<Shared>, port: Port, listener: TcpListener) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut first = Some(listener);
    loop {
        let listener = match first.take() {
            Some(listener) => listener,
            None => bind(address).await,
        };
        if let Ok(listener) = Async::new(listener) {
            on_open(shared, port, true);
            let down = shared.until(|state| {
                let conduct = state.port(port).conduct;
                (conduct == Conduct::Down).then_some(())
            });
            smol::future::or(down, accept(shared, port, &listener)).await;
        }
        on_open(shared, port, false);
        shared
            .until(|state| {
                let conduct = state.port(port).conduct;
                (conduct != Conduct::Down).then_some(())
            })
            .await;
    }
}

async fn accept(shared: &Arc<Shared>, port: Port, listener: &Async<TcpListener>) {
    let mut connections = FuturesUnordered::new();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        let accepted = async {
            if has_room {
                Some(listener.accept().await)
            } else {
                std::future::pending().await
            }
        };
        let ended = async {
            if connections.next().await.is_none() {
                std::future::pending::<()>().await;
            }
            None
        };
        match smol::future::race(accepted, ended).await {
            Some(Ok((stream, _))) => connections.push(serve_stream(shared, port, stream)),
            Some(Err(_)) => {
                Timer::after(RETRY_PAUSE).await;
            }
            None => {}
        }
    }
}

async fn serve_stream(shared: &Arc<Shared>, port: Port, stream: Async<TcpStream>) {
    let _counted = Counted::new(shared, port);
    // Answers go out at once, or a little later where the system will not have it.
    drop(stream.get_ref().set_nodelay(true));
    // A connection that breaks is the client's affair.
    drop(connection::serve(shared, port, stream).await);
}

/// One open connection in the count.
struct Counted<'a> {
    shared: &'a Shared,
    port: Port,
}

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared, port: Port) -> Self {
        {
            let world = &mut shared.lock().world;
            let connections = world.connections.entry(port).or_default();
            connections.open += 1;
            connections.accepted += 1;
        }
        Self { shared, port }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(connections) = self.shared.lock().world.connections.get_mut(&self.port) {
            connections.open = connections.open.saturating_sub(1);
        }
        self.shared.on_changed();
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(_) => {
                Timer::after(RETRY_PAUSE).await;
            }
        }
    }
}

fn on_open(shared: &Shared, port: Port, is_open: bool) {
    shared.lock().port(port).is_open = is_open;
    shared.on_changed();
}
