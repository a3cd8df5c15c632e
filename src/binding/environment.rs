//! One Node environment (the main thread or a worker thread): its clients, and its end.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::Env;

use crate::client::Client;
use crate::delivery::engine::Share;

struct Environment {
    clients: Vec<Resident>,
    _share: Share,
}

struct Resident {
    client: Weak<Client>,
    /// Nothing more is to be waited for.
    exiting: Arc<AtomicBool>,
}

thread_local! {
    // An environment lives on one thread and a thread has one environment of this addon.
    static ENVIRONMENT: RefCell<Option<Environment>> = const { RefCell::new(None) };
}

/// Makes sure that this environment holds a share of the engine and gives it back at its end.
pub fn enter(env: &Env) -> napi::Result<()> {
    let is_new = ENVIRONMENT.with_borrow(Option::is_none);
    if is_new {
        env.add_env_cleanup_hook((), |()| leave())?;
        let environment = Environment { clients: Vec::new(), _share: Share::take() };
        ENVIRONMENT.with_borrow_mut(|current| *current = Some(environment));
    }
    Ok(())
}

/// Remembers a client, so that it can deliver what it has when the environment ends.
pub fn remember(client: &Arc<Client>, exiting: &Arc<AtomicBool>) {
    let resident = Resident { client: Arc::downgrade(client), exiting: Arc::clone(exiting) };
    ENVIRONMENT.with_borrow_mut(|current| {
        if let Some(environment) = current {
            environment.clients.retain(|resident| resident.client.strong_count() > 0);
            environment.clients.push(resident);
        }
    });
}

/// Delivers what the clients still have, each for at most its `exitTimeout`, then lets go of the engine; the
/// last environment to do so joins the engine's thread.
fn leave() {
    let Some(environment) = ENVIRONMENT.with_borrow_mut(Option::take) else { return };
    let waits = |resident: &&Resident| !resident.exiting.load(Ordering::Relaxed);
    for resident in environment.clients.iter().filter(waits) {
        if let Some(client) = resident.client.upgrade() {
            let left = client.drain(client.exit_timeout());
            tracing::debug!(left, "environment ended");
        }
    }
}
