//! Requests that the application sends itself (`httpClient`). Retries, pauses and limits stay the engine's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, Failure, Request, Response, Transport};

/// Hands a request to the application under a number. It must not block.
pub type Outlet = Box<dyn Fn(u32, Request) + Send + Sync>;

/// A transport whose answers come through [`CallbackTransport::answer`].
pub struct CallbackTransport {
    outlet: Outlet,
    open: Mutex<Open>,
    attempt_timeout: Duration,
}

#[derive(Default)]
struct Open {
    last: u32,
    waiting: HashMap<u32, oneshot::Sender<Result<Response, Failure>>>,
}

impl CallbackTransport {
    /// A transport that hands its requests to `outlet`.
    #[must_use]
    pub fn new(outlet: Outlet, attempt_timeout: Duration) -> Self {
        Self { outlet, open: Mutex::default(), attempt_timeout }
    }

    /// The application's answer to a request. Late and repeated answers are ignored.
    pub fn answer(&self, number: u32, answer: Result<Response, Failure>) {
        if let Some(waiting) = self.open().waiting.remove(&number) {
            // A receiver that is gone has given up already.
            drop(waiting.send(answer));
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self) -> (u32, oneshot::Receiver<Result<Response, Failure>>) {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.open();
        open.last = open.last.wrapping_add(1);
        let number = open.last;
        open.waiting.insert(number, sender);
        (number, receiver)
    }
}

impl Transport for CallbackTransport {
    fn send(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let (number, receiver) = self.register();
            (self.outlet)(number, request);
            let answer = timeout(self.attempt_timeout, receiver).await;
            self.open().waiting.remove(&number);
            match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(Failure::Network),
                Err(_) => Err(Failure::Timeout),
            }
        })
    }

    fn compresses(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for CallbackTransport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CallbackTransport").finish_non_exhaustive()
    }
}
