//! One connection: requests and answers in turn, each side bounded in time.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use image_updater_fixtures::cluster::ApiReply;
use image_updater_fixtures::{Registry, Request, Response};
use smol::{Async, Timer};

use super::api;
use super::message::{Connection, Incoming, RequestError};
use super::state::{Conduct, Port, Shared, within};

/// How long a connection may be idle between requests.
const IDLE_TIME_MAX: Duration = Duration::from_mins(2);

/// Serves `stream` until one side has had enough.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    port: Port,
    stream: Async<TcpStream>,
) -> io::Result<()> {
    let mut connection = Connection::new(stream);
    loop {
        if within(IDLE_TIME_MAX, connection.has_more()).await != Some(true) {
            return Ok(());
        }
        let patience = shared.lock().world.client_patience;
        let taken = within(patience, connection.take_request()).await;
        let refusal = match taken {
            Some(Ok(Incoming { request, is_kept })) => {
                let patch_number = on_request(shared, port, &request);
                if !is_answered(shared, port, &connection).await {
                    return Ok(());
                }
                let reply = match port {
                    Port::Api => api::answer(shared, &request, patch_number),
                    Port::Registry(idx) => ApiReply::Whole(answer(shared, idx, &request)),
                };
                match reply {
                    ApiReply::Whole(response) => {
                        let is_head = request.method == "HEAD";
                        let given = connection.give_response(&response, is_head, is_kept);
                        within(patience, given).await.unwrap_or_else(too_slow)?;
                    }
                    ApiReply::Watch {
                        lines,
                        version,
                        namespace,
                        selector,
                    } => {
                        let watch = api::Watch {
                            lines,
                            version,
                            namespace,
                            selector: *selector,
                            time_max: api::watch_time_max(&request),
                            patience,
                        };
                        if !watch.serve(shared, &mut connection).await? {
                            return Ok(());
                        }
                    }
                }
                if is_kept {
                    continue;
                }
                return Ok(());
            }
            Some(Err(RequestError::Closed)) => return Ok(()),
            Some(Err(RequestError::Refused(status, message))) => (status, message),
            None => (408, "the request took too long"),
        };
        let refused = connection.refuse(refusal.0, refusal.1);
        return within(patience, refused).await.unwrap_or(Ok(()));
    }
}

/// The client did not take what it was given.
pub(super) fn too_slow() -> io::Result<()> {
    Err(io::ErrorKind::TimedOut.into())
}

/// Counts a request; returns the number under which it is kept when it is a patch.
fn on_request(shared: &Shared, port: Port, request: &Request) -> Option<u64> {
    let number = {
        let state = &mut *shared.lock();
        state.world.connections.entry(port).or_default().requests += 1;
        match port {
            Port::Api => api::on_arrival(state, request),
            Port::Registry(_) => None,
        }
    };
    shared.on_changed();
    number
}

/// Waits as long as the port's conduct asks; false when there is to be no answer.
async fn is_answered(shared: &Arc<Shared>, port: Port, connection: &Connection) -> bool {
    let conduct = shared.lock().port(port).conduct;
    match conduct {
        Conduct::Serving => true,
        Conduct::Slow(latency) => {
            Timer::after(latency).await;
            true
        }
        Conduct::Hanging => {
            let over = shared.until(|state| {
                let conduct = state.port(port).conduct;
                (conduct != Conduct::Hanging).then_some(())
            });
            smol::future::or(over, connection.closed()).await;
            false
        }
        Conduct::Holding => {
            let over = shared.until(|state| {
                let conduct = state.port(port).conduct;
                (conduct != Conduct::Holding).then_some(conduct != Conduct::Down)
            });
            let closed = async {
                connection.closed().await;
                false
            };
            smol::future::or(over, closed).await
        }
        Conduct::Down => false,
    }
}

fn answer(shared: &Shared, idx: usize, request: &Request) -> Response {
    let now = shared.now();
    let response = {
        let registries = &mut shared.lock().world.registries;
        // A port may lend its address to another registry, for its token service or its blobs.
        let is_lent = |one: &Registry| one.host != request.host && one.has_host(&request.host);
        let owner = registries.iter().position(is_lent).unwrap_or(idx);
        match registries.get_mut(owner) {
            Some(registry) => registry.handle(now.mono, now.wall, request),
            None => Response {
                status: 404,
                ..Response::default()
            },
        }
    };
    shared.on_changed();
    response
}
