//! One Node environment (the main thread or a worker thread): its clients, and its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Keeps a client under its number, until it is forgotten or the environment ends.
pub fn remember(handle: u32, client: &Arc<Client>, exiting: &Arc<AtomicBool>) {
    let resident = Resident { client: Arc::clone(client), exiting: Arc::clone(exiting) };
    ENVIRONMENT.with_borrow_mut(|current| {
        if let Some(environment) = current {
            environment.clients.insert(handle, resident);
        }
    });
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

/// Delivers what the clients still have, each for at most its `exitTimeout`, then lets go of the engine; the
/// last environment to do so joins the engine's thread.
fn leave() {
    let Some(environment) = ENVIRONMENT.with_borrow_mut(Option::take) else { return };
    let waits = |resident: &&Resident| !resident.exiting.load(Ordering::Relaxed);
    for resident in environment.clients.values().chain(&environment.collected).filter(waits) {
        let left = resident.client.drain(resident.client.exit_timeout());
        tracing::debug!(left, "environment ended");
    }
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
