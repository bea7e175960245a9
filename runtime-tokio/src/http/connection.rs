//! One open connection of either version of HTTP, and the task that keeps it moving.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::lease::Socket;
use crate::spawn::spawn;

/// Longest head of a response over HTTP/1.1.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest head of a response over HTTP/2.
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;
/// Requests that share a connection of HTTP/2, if its server allows that many.
const STREAMS_MAX: usize = 100;
/// How long a connection that was given up may take to say goodbye.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);
/// What a server over HTTP/2 may send ahead of our reading, per request and in all.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// A connection over HTTP/2 is probed this often while requests are under way, and given up without an
/// answer: it may lead nowhere any more, and would be used again and again.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of our requests.
pub(super) type Body = Full<Bytes>;

/// What carries a request.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connection of its own.
    Http1(Http1),
    /// A stream within a shared connection.
    Http2(Http2),
}

/// A connection of HTTP/1.1. It ends when this is dropped.
pub(super) struct Http1 {
    pub(super) id: u64,
    pub(super) sender: http1::SendRequest<Body>,
    _ending: oneshot::Sender<Infallible>,
}

/// A connection of HTTP/2, which ends when the last of these is dropped.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) id: u64,
    pub(super) sender: http2::SendRequest<Body>,
    /// How many requests its server takes at a time, as far as it has said so.
    streams_max: Arc<AtomicUsize>,
}

impl Http1 {
    /// Begins to speak over `stream`.
    pub(super) async fn open(stream: BoxStream, id: u64) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let (ending, ended) = oneshot::channel::<Infallible>();
        drop(spawn(async move {
            let goodbye = async {
                let _given_up = ended.await;
                tokio::time::sleep(GOODBYE_TIME_MAX).await;
            };
            tokio::select! {
                // What goes wrong is told to the request that it goes wrong for.
                _result = connection => {}
                () = goodbye => {}
            }
        }));
        Ok(Self {
            id,
            sender,
            _ending: ending,
        })
    }
}

impl Http2 {
    /// Begins to speak over `stream`.
    pub(super) async fn open(stream: BoxStream, id: u64) -> Result<Self, hyper::Error> {
        let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_TIME_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let streams_max = Arc::new(AtomicUsize::new(STREAMS_MAX));
        let allowed = Arc::clone(&streams_max);
        let work = poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            allowed.store(connection.current_max_send_streams(), Ordering::Relaxed);
            polled
        });
        drop(spawn(async move {
            // What goes wrong is told to the requests that it goes wrong for.
            let _result = work.await;
        }));
        Ok(Self {
            id,
            sender,
            streams_max,
        })
    }

    /// How many requests it carries at a time.
    pub(super) fn streams_max(&self) -> usize {
        self.streams_max
            .load(Ordering::Relaxed)
            .clamp(1, STREAMS_MAX)
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http1({})", self.id)
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http2({})", self.id)
    }
}

/// Bytes in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream of whatever layers.
pub(crate) type BoxStream = Box<dyn Stream>;

/// A TCP stream with its place in the count, which it leaves once it is closed.
pub(super) struct Counted {
    // In this order: the socket is closed, then no longer counted.
    stream: TcpStream,
    _socket: Socket,
}

impl Counted {
    /// Ties `stream` to its place.
    pub(super) fn new(stream: TcpStream, socket: Socket) -> Self {
        Self {
            stream,
            _socket: socket,
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
