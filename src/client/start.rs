//! Clients that the engine drives, with the machine's own clock and disk.

use std::sync::Arc;

use fastrand::Rng;
use tokio::sync::Notify;

use super::{Client, Environment, Undriven};
use crate::config::Config;
use crate::delivery::clock::system::SystemClock;
use crate::delivery::driver::{self, Driver};
use crate::delivery::engine;
use crate::delivery::notice::Observer;
use crate::delivery::transport::Ways;
use crate::error::Error;
use crate::queue::spool::disk::system::SystemDisk;

impl Default for Environment {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), generator: Rng::new(), disk: Arc::new(SystemDisk) }
    }
}

impl Client {
    /// Starts a client; its worker runs on the engine's thread.
    ///
    /// # Errors
    /// When that thread can't be started.
    pub fn start(
        config: Config,
        environment: Environment,
        observer: Arc<dyn Observer>,
        ways: impl Into<Ways>,
    ) -> Result<Self, Error> {
        let ways = ways.into();
        let wake = Arc::new(Notify::new());
        let waking = Arc::clone(&wake);
        let wakes = Box::new(move || waking.notify_one());
        let compresses = ways.batches.compresses();
        let clock = Arc::clone(&environment.clock);
        let undriven = Self::undriven(config, environment, Arc::clone(&observer), compresses, wakes);
        let Undriven { client, worker, maintenance } = undriven;
        let config = Arc::clone(&client.config);
        engine::spawn(driver::run(Driver { worker, config, wake, observer, clock, ways, maintenance }))?;
        Ok(client)
    }
}
