//! The one place that starts tasks, and the guard that answers every effect exactly once.
//!
//! - An operation's completion is sent by its guard: with the result when the work returned, with
//!   "cancelled" when the core gave it up, with "lost" when the task panicked or was dropped.
//! - Completions travel on an unbounded channel, because a guard must be able to send while it is
//!   dropped. Their number is bounded by the operations in flight, which the core bounds.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::http::{HttpOutcome, TransportFailure, TransportKind};
use image_updater_core::id::OpId;
use image_updater_core::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use image_updater_core::publish::GitOutcome;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::telemetry::Log;

/// Which completion an operation is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// [`Input::Http`].
    Http,
    /// [`Input::Credential`].
    Credential,
    /// [`ClusterInput::Patched`].
    Patched,
    /// [`ClusterInput::Read`].
    Read,
    /// [`Input::Git`].
    Git,
}

impl Answer {
    /// The completion of an operation whose task ended without a result.
    pub fn lost(self, op: OpId) -> Input {
        self.failed(
            op,
            TransportKind::Crashed,
            "the task ended without a result",
        )
    }

    /// The completion of an operation that the core gave up.
    pub fn cancelled(self, op: OpId) -> Input {
        self.failed(op, TransportKind::Cancelled, "cancelled")
    }

    fn failed(self, op: OpId, kind: TransportKind, detail: &str) -> Input {
        let detail = detail.to_owned();
        match self {
            Self::Http => Input::Http(op, HttpOutcome::Failed(TransportFailure { kind, detail })),
            Self::Credential => Input::Credential(op, CredentialOutcome::Failed(detail)),
            // How far the request got is not known.
            Self::Patched => {
                Input::Cluster(ClusterInput::Patched(op, PatchOutcome::Unknown(detail)))
            }
            Self::Read => Input::Cluster(ClusterInput::Read(op, ReadOutcome::Transient(detail))),
            // Nor what became of a push: the branch is asked before anything is repeated.
            Self::Git => {
                let outcome = GitOutcome::Unknown {
                    since: None,
                    branch: Box::default(),
                    detail,
                    ends: Vec::new(),
                };
                Input::Git(op, Box::new(outcome))
            }
        }
    }
}

/// The operations under way.
#[derive(Clone, Debug)]
pub struct Operations {
    running: Running,
    completions: mpsc::UnboundedSender<Input>,
}

/// What cancels each operation under way.
type Running = Arc<Mutex<BTreeMap<OpId, oneshot::Sender<()>>>>;

impl Operations {
    /// Operations whose completions go to `completions`.
    pub fn new(completions: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            running: Running::default(),
            completions,
        }
    }

    /// Starts `work`, whose output is the completion of `op`. Exactly one completion with this id
    /// is sent, whatever happens to the task.
    pub fn start(
        &self,
        op: OpId,
        answer: Answer,
        work: impl Future<Output = Input> + Send + 'static,
    ) {
        let (cancel, cancelled) = oneshot::channel();
        let guard = self.guard(op, answer, cancel);
        drop(spawn(async move {
            let mut guard = guard;
            guard.result = Some(tokio::select! {
                biased;
                Ok(()) = cancelled => answer.cancelled(op),
                result = work => result,
            });
        }));
    }

    /// The same for work that is told when the core gives it up, and then ends with what it knows.
    pub fn start_told<F>(&self, op: OpId, answer: Answer, work: impl FnOnce(Cancelled) -> F)
    where
        F: Future<Output = Input> + Send + 'static,
    {
        let (cancel, cancelled) = oneshot::channel();
        let guard = self.guard(op, answer, cancel);
        let work = work(cancelled.into());
        drop(spawn(async move {
            let mut guard = guard;
            guard.result = Some(work.await);
        }));
    }

    fn guard(&self, op: OpId, answer: Answer, cancel: oneshot::Sender<()>) -> CompletionGuard {
        lock(&self.running).insert(op, cancel);
        CompletionGuard {
            op,
            answer,
            result: None,
            running: Arc::clone(&self.running),
            completions: self.completions.clone(),
        }
    }

    /// Gives up `op` if it is still under way; it is answered as cancelled. An id that is not under
    /// way has been answered already.
    pub fn cancel(&self, op: OpId) {
        if let Some(cancel) = lock(&self.running).remove(&op) {
            // The task may have ended this very moment: then its own result stands.
            let _ended = cancel.send(());
        }
    }

    /// How many operations are under way.
    pub fn in_flight(&self) -> usize {
        lock(&self.running).len()
    }
}

/// Tells work that the core gives it up.
#[derive(Debug)]
pub struct Cancelled(Option<oneshot::Receiver<()>>);

impl Cancelled {
    /// For work that nobody gives up.
    pub const fn never() -> Self {
        Self(None)
    }

    /// Ends when the core gives the work up.
    pub async fn wait(&mut self) {
        let told = match &mut self.0 {
            Some(receiver) => receiver.await.is_ok(),
            None => false,
        };
        // Polled again it would panic.
        self.0 = None;
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

impl From<oneshot::Receiver<()>> for Cancelled {
    /// For work that is given up by whoever has the sender.
    fn from(receiver: oneshot::Receiver<()>) -> Self {
        Self(Some(receiver))
    }
}

/// Sends the completion of one operation when it is dropped.
#[derive(Debug)]
struct CompletionGuard {
    op: OpId,
    answer: Answer,
    result: Option<Input>,
    running: Running,
    completions: mpsc::UnboundedSender<Input>,
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.op);
        let input = self
            .result
            .take()
            .unwrap_or_else(|| self.answer.lost(self.op));
        // Nobody listens any more only when the driver itself has ended.
        let _ended = self.completions.send(input);
    }
}

/// Starts a task that answers nobody, such as a watch or a server.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks are started here and nowhere else"
)]
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(task)
}

/// Does work that may block, such as reading a file, where nobody else is held up by it.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks are started here and nowhere else"
)]
pub fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Makes a panic say in one line of `log` where it happened without showing data: only messages that
/// are literals in the source are printed, since a formatted one may hold anything. Where the log
/// cannot be written to, because the panic happened in there, the line goes to standard error as it is.
pub fn install_panic_hook(log: Arc<Log>) {
    std::panic::set_hook(Box::new(move |info| {
        let line = describe_panic(info.payload(), info.location());
        if !log.try_error(&line) {
            // There is nowhere else to say that this failed.
            drop(io::stderr().write_all(format!("{line}\n").as_bytes()));
        }
    }));
}

fn describe_panic(payload: &dyn Any, location: Option<&Location<'_>>) -> String {
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(message withheld)")
        .replace(['\n', '\r'], " ");
    match location {
        Some(at) => format!("panic at {}:{}: {message}", at.file(), at.line()),
        None => format!("panic: {message}"),
    }
}

/// A panic while the lock is held cannot leave the map in a wrong state.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use image_updater_core::http::HttpResponse;

    use super::*;

    const ALL: [Answer; 5] = [
        Answer::Http,
        Answer::Credential,
        Answer::Patched,
        Answer::Read,
        Answer::Git,
    ];

    #[tokio::test]
    async fn work_that_returns_is_answered_with_its_result_once() {
        let (operations, completions) = operations();
        operations.start(OpId(7), Answer::Http, async { response(7) });
        assert_eq!(drain(operations, completions).await, [response(7)]);
    }

    #[tokio::test]
    async fn panic_is_answered_as_lost_once() {
        for answer in ALL {
            let (operations, completions) = operations();
            operations.start(OpId(1), answer, async { panic!("planted") });
            let inputs = drain(operations, completions).await;
            assert_eq!(inputs, [answer.lost(OpId(1))]);
        }
    }

    #[tokio::test]
    async fn cancel_is_answered_as_cancelled_once_however_often_it_comes() {
        for answer in ALL {
            let (operations, completions) = operations();
            operations.start(OpId(1), answer, pending());
            operations.cancel(OpId(1));
            operations.cancel(OpId(1));
            operations.cancel(OpId(2));
            let inputs = drain(operations, completions).await;
            assert_eq!(inputs, [answer.cancelled(OpId(1))]);
        }
    }

    #[tokio::test]
    async fn work_that_is_told_of_a_cancel_answers_with_what_it_knows() {
        let (operations, completions) = operations();
        operations.start_told(OpId(1), Answer::Git, |mut cancelled| async move {
            cancelled.wait().await;
            response(1)
        });
        operations.cancel(OpId(1));
        operations.start_told(OpId(2), Answer::Git, |_| async { panic!("planted") });
        let inputs = drain(operations, completions).await;
        assert_eq!(inputs, [response(1), Answer::Git.lost(OpId(2))]);
    }

    #[tokio::test]
    async fn cancel_after_the_end_changes_nothing() {
        let (operations, mut completions) = operations();
        operations.start(OpId(3), Answer::Http, async { response(3) });
        assert_eq!(completions.recv().await, Some(response(3)));
        assert_eq!(operations.in_flight(), 0);
        operations.cancel(OpId(3));
        assert_eq!(drain(operations, completions).await, []);
    }

    #[test]
    fn runtime_that_ends_answers_what_was_under_way() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let (operations, mut completions) = operations();
        runtime.block_on(async {
            operations.start(OpId(5), Answer::Patched, pending());
            tokio::task::yield_now().await;
        });
        drop(runtime);
        drop(operations);
        assert_eq!(
            completions.blocking_recv(),
            Some(Answer::Patched.lost(OpId(5)))
        );
        assert_eq!(completions.blocking_recv(), None);
    }

    #[test]
    fn panic_is_told_in_one_line_without_what_was_formatted_into_it() {
        let here = Location::caller();
        let at = format!("panic at {}:{}: ", here.file(), here.line());
        let check = |payload: &dyn Any, message: &str| {
            let line = describe_panic(payload, Some(here));
            assert_eq!(line, format!("{at}{message}"));
        };
        check(&"slots are counted", "slots are counted");
        check(&"two\nlines", "two lines");
        check(&"token hush".to_owned(), "(message withheld)");
        check(&7_u8, "(message withheld)");
        assert_eq!(describe_panic(&"x", None), "panic: x");
    }

    fn operations() -> (Operations, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Operations::new(sender), receiver)
    }

    fn response(op: u64) -> Input {
        Input::Http(OpId(op), HttpOutcome::Response(HttpResponse::default()))
    }

    /// Everything that is sent until the last task has ended.
    async fn drain(
        operations: Operations,
        mut completions: mpsc::UnboundedReceiver<Input>,
    ) -> Vec<Input> {
        drop(operations);
        let mut inputs = Vec::new();
        while let Some(input) = completions.recv().await {
            inputs.push(input);
        }
        inputs
    }
}
