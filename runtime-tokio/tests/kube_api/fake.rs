//! An API server that gives prepared answers in order and keeps what it was asked and when.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use image_updater_tokio::kube::ClusterClient;
use kube::client::Body;
use tokio::sync::Notify;

/// One prepared answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'static str>,
    pub(crate) body: String,
    pub(crate) end: End,
}

/// What follows the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The response is whole.
    Close,
    /// Nothing more comes, and the connection stays open.
    Hang,
    /// Nothing more comes for so long; then the response is whole.
    CloseAfter(Duration),
    /// The connection breaks.
    Break,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.into(),
            end: End::Close,
        }
    }

    /// An error reply with the server's status object.
    pub(crate) fn status(status: u16, message: &str) -> Self {
        let body = serde_json::json!({"kind": "Status", "code": status, "message": message});
        Self::new(status, body.to_string())
    }

    /// A watch with these lines.
    pub(crate) fn lines<T: AsRef<str>>(lines: &[T], end: End) -> Self {
        let body = lines.iter().map(|line| format!("{}\n", line.as_ref()));
        Self {
            end,
            ..Self::new(200, body.collect::<String>())
        }
    }
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// The server. When it has no answer left it gives none, and says so through `is_done`.
#[derive(Clone)]
pub(crate) struct Fake {
    start: tokio::time::Instant,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    done: Arc<Notify>,
}

impl Fake {
    #[expect(
        clippy::disallowed_methods,
        reason = "the fake notes in virtual time when it was asked"
    )]
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
            done: Arc::default(),
        }
    }

    pub(crate) fn client(&self) -> ClusterClient {
        let fake = self.clone();
        let service = tower::service_fn(move |request| fake.clone().answer(request));
        ClusterClient::new(kube::Client::new(service, "argocd"))
    }

    /// Waits until something is asked for which there is no answer.
    pub(crate) async fn is_done(&self) {
        tokio::time::timeout(Duration::from_hours(24), self.done.notified())
            .await
            .expect("the script is played to its end");
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic before").clone()
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Script>, Infallible> {
        let at = self.start.elapsed();
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let content_type = head.headers.get("content-type");
        let asked = Asked {
            at,
            method: head.method.to_string(),
            target: head.uri.to_string(),
            content_type: content_type.map_or_else(String::new, |value| {
                String::from_utf8_lossy(value.as_bytes()).into()
            }),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let next = self.answers.lock().expect("no panic before").pop_front();
        let Some(answer) = next else {
            self.done.notify_one();
            return std::future::pending().await;
        };
        self.asked.lock().expect("no panic before").push(asked);
        let mut response = Response::builder().status(answer.status);
        if let Some(secs) = answer.retry_after {
            response = response.header("Retry-After", secs);
        }
        let script = Script {
            body: Some(Bytes::from(answer.body)),
            end: Box::pin(async move {
                match answer.end {
                    End::Close => false,
                    End::Hang => std::future::pending().await,
                    End::CloseAfter(wait) => {
                        tokio::time::sleep(wait).await;
                        false
                    }
                    End::Break => true,
                }
            }),
            is_over: false,
        };
        Ok(response.body(script).expect("a valid response"))
    }
}

/// The body of an answer, with its end.
pub(crate) struct Script {
    body: Option<Bytes>,
    /// Resolves to true when the connection breaks.
    end: Pin<Box<dyn Future<Output = bool> + Send>>,
    is_over: bool,
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(body) = self.body.take() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let breaks = std::task::ready!(self.end.as_mut().poll(cx));
        self.is_over = true;
        Poll::Ready(breaks.then(|| Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
