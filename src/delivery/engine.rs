//! The engine's thread: one per process, with its own current-thread runtime, shared by all clients.
//!
//! It starts with the first client and is joined when the last user lets go, so that nothing of it runs
//! while the addon's environment is being torn down.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};

/// How long an unfinished DNS look-up may delay the end of the thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

static ENGINE: Mutex<Engine> = Mutex::new(Engine { users: 0, thread: None });

struct Engine {
    users: usize,
    thread: Option<Thread>,
}

struct Thread {
    runtime: Handle,
    stop: oneshot::Sender<()>,
    join: JoinHandle<()>,
}

fn engine() -> MutexGuard<'static, Engine> {
    ENGINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A share in the engine. The thread is joined when the last one is dropped.
#[derive(Debug)]
pub struct Share(());

impl Share {
    /// Takes a share; the thread itself starts with the first task.
    #[must_use]
    pub fn take() -> Self {
        engine().users += 1;
        Self(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut engine = engine();
        engine.users -= 1;
        let ended = if engine.users == 0 { engine.thread.take() } else { None };
        drop(engine);
        if let Some(thread) = ended {
            // The receiver is gone only if the thread is.
            let _gone = thread.stop.send(());
            // A panic of the thread ended only the thread.
            drop(thread.join.join());
        }
    }
}

/// Runs a task on the engine's thread.
///
/// # Errors
/// When the machine refuses a thread or the runtime's resources.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let mut engine = engine();
    if engine.thread.is_none() {
        engine.thread = Some(start()?);
    }
    if let Some(thread) = &engine.thread {
        thread.runtime.spawn(task);
    }
    drop(engine);
    Ok(())
}

fn start() -> Result<Thread, Error> {
    let refused = |_| {
        let text = "The engine's thread could not start: the process is out of threads or file descriptors.";
        Error::new(ErrorKind::Resources, text)
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let run = move || {
        drop(runtime.block_on(stopped));
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    };
    let join = std::thread::Builder::new().name("segment".into()).spawn(run).map_err(refused)?;
    Ok(Thread { runtime: handle, stop, join })
}
