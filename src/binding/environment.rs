//! One Node environment (the main thread or a worker thread): its clients, and its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::Env;

use crate::client::Client;
use crate::delivery::engine::Share;

struct Environment {
    clients: BTreeMap<u32, Resident>,
    /// Clients that JavaScript has collected and that still have something to deliver.
    collected: Vec<Resident>,
    _share: Share,
}

struct Resident {
    client: Arc<Client>,
    /// Nothing more is to be waited for.
    exiting: Arc<AtomicBool>,
}

/// How a thread holds its environment: what [`leave`] has not taken goes with the thread.
#[cfg(not(windows))]
type Held = Box<Environment>;

/// `ExitProcess` ends all other threads in the middle of whatever they do, and only then drops the thread-locals of the
/// one that called it: the engine's thread can't be joined any more, and no code of ours may run.
#[cfg(windows)]
type Held = std::mem::ManuallyDrop<Environment>;

thread_local! {
    // An environment lives on one thread and a thread has one environment of this addon.
    static ENVIRONMENT: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Makes sure that this environment holds a share of the engine and gives it back at its end.
pub fn enter(env: Env) -> napi::Result<()> {
    let is_new = ENVIRONMENT.with_borrow(Option::is_none);
    if is_new {
        env.add_env_cleanup_hook((), |()| leave())?;
        let environment =
            Environment { clients: BTreeMap::new(), collected: Vec::new(), _share: Share::take() };
        ENVIRONMENT.with_borrow_mut(|current| *current = Some(Held::new(environment)));
    }
    Ok(())
}

/// Keeps a client under a number, until it is forgotten or the environment ends.
pub fn remember(client: &Arc<Client>, exiting: &Arc<AtomicBool>) -> u32 {
    static LAST_HANDLE: AtomicU32 = AtomicU32::new(0);
    let handle = LAST_HANDLE.fetch_add(1, Ordering::Relaxed) + 1;
    let resident = Resident { client: Arc::clone(client), exiting: Arc::clone(exiting) };
    ENVIRONMENT.with_borrow_mut(|current| {
        if let Some(environment) = current {
            environment.clients.insert(handle, resident);
        }
    });
    handle
}

/// JavaScript has collected the client: what it accepted is still delivered, then its worker ends.
pub fn forget(handle: u32) {
    // During the end of a thread there is nothing left to forget from.
    let _ended = ENVIRONMENT.try_with(|current| {
        if let Some(environment) = current.borrow_mut().as_mut() {
            environment.collected.retain(|resident| resident.client.stats().pending > 0);
            if let Some(resident) = environment.clients.remove(&handle) {
                resident.client.close();
                environment.collected.push(resident);
            }
        }
    });
}

/// Lets `look` use a client of this environment; `None` when there is none of this number.
pub fn with_client<T>(handle: u32, look: impl FnOnce(&Client) -> T) -> Option<T> {
    ENVIRONMENT
        .with_borrow(|current| current.as_ref()?.clients.get(&handle).map(|resident| look(&resident.client)))
}

/// Tidying up an idle client's disk is a matter of a millisecond; a disk that hangs holds no exit up.
const TIDY_TIMEOUT: Duration = Duration::from_millis(250);

/// Delivers what these clients have, all at once and each within its time; the calling thread waits.
fn drain(clients: &[(&Client, Duration)]) {
    let begun = Instant::now();
    // First everybody is asked, then all are waited for.
    let tickets: Vec<_> = clients.iter().map(|(client, timeout)| client.begin_drain(*timeout)).collect();
    for ((client, timeout), ticket) in clients.iter().zip(tickets) {
        let _left = client.end_drain(ticket, timeout.saturating_sub(begun.elapsed()));
    }
}

/// The process ends: delivers what clients have, those that JavaScript has collected too, and lets idle ones tidy up. The
/// ones in `done` have been waited for already.
pub fn drain_clients(done: &[u32]) {
    ENVIRONMENT.with_borrow(|current| {
        let Some(environment) = current else { return };
        let known = environment.clients.iter().map(|(handle, resident)| (Some(handle), resident));
        let collected = environment.collected.iter().map(|resident| (None, resident));
        let mut waiting = Vec::new();
        for (handle, Resident { client, exiting }) in known.chain(collected) {
            let is_idle = client.stats().pending == 0;
            let is_done = handle.is_some_and(|handle| done.contains(handle));
            // Waited for once; what an idle client is given later still is at the end of the environment.
            if !is_idle && exiting.swap(true, Ordering::Relaxed) {
                continue;
            }
            if is_idle {
                waiting.push((&**client, TIDY_TIMEOUT));
            } else if !is_done {
                waiting.push((&**client, client.exit_timeout()));
            }
        }
        drain(&waiting);
    });
}

/// Delivers what the clients still have, then lets go of the engine; the last environment to do so joins the engine's
/// thread.
fn leave() {
    let Some(environment) = ENVIRONMENT.with_borrow_mut(Option::take) else { return };
    let residents = environment.clients.values().chain(&environment.collected);
    let waiting = residents.filter(|resident| !resident.exiting.load(Ordering::Relaxed));
    let waiting: Vec<_> =
        waiting.map(|resident| (&*resident.client, resident.client.exit_timeout())).collect();
    drain(&waiting);
    release(environment);
}

#[cfg(not(windows))]
fn release(environment: Held) {
    drop(environment);
}

#[cfg(windows)]
fn release(environment: Held) {
    drop(Held::into_inner(environment));
}
