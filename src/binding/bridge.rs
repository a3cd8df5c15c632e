//! `tracing` to the `logger` option: lines of a client's span become mail of that client.
//!
//! Nothing is recorded until a client has a logger, and then only what this crate says.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock, Weak};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::mailbox::Mailbox;

static LAST_NAME: AtomicU32 = AtomicU32::new(0);
static MAX_LEVEL: AtomicU8 = AtomicU8::new(0);
static LISTENERS: RwLock<Option<HashMap<u32, Listener>>> = RwLock::new(None);

struct Listener {
    mailbox: Weak<Mailbox>,
    level: u8,
}

/// Gives a client its name in spans and, with a level above 0, sends its lines to its mailbox.
pub fn register(mailbox: &Arc<Mailbox>, level: u32) -> u32 {
    let name = LAST_NAME.fetch_add(1, Ordering::Relaxed) + 1;
    let level = u8::try_from(level.min(5)).unwrap_or_default();
    if level > 0 {
        let mut listeners = LISTENERS.write().unwrap_or_else(PoisonError::into_inner);
        let listeners = listeners.get_or_insert_default();
        listeners.retain(|_, listener| listener.mailbox.strong_count() > 0);
        listeners.insert(name, Listener { mailbox: Arc::downgrade(mailbox), level });
        MAX_LEVEL.fetch_max(level, Ordering::Relaxed);
        install();
    }
    name
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Bridge);
        // This library has `tracing` to itself; were it taken, the logger would stay silent, no more.
        drop(tracing::subscriber::set_global_default(subscriber));
    });
    tracing::callsite::rebuild_interest_cache();
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

fn max_level() -> LevelFilter {
    match MAX_LEVEL.load(Ordering::Relaxed) {
        0 => LevelFilter::OFF,
        1 => LevelFilter::ERROR,
        2 => LevelFilter::WARN,
        3 => LevelFilter::INFO,
        4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

struct Bridge;

/// The name of the client a span belongs to.
struct Owner(u32);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && *metadata.level() <= max_level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(max_level())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = fields.0.get("name").and_then(Value::as_u64).and_then(|name| u32::try_from(name).ok());
        if let (Some(name), Some(span)) = (name, context.span(id)) {
            span.extensions_mut().insert(Owner(name));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let owner = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<Owner>().map(|owner| owner.0))
        });
        let Some(owner) = owner else { return };
        let level = *event.metadata().level();
        let mailbox = {
            let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner);
            listeners
                .as_ref()
                .and_then(|listeners| listeners.get(&owner))
                .filter(|listener| number(level) <= listener.level)
                .and_then(|listener| listener.mailbox.upgrade())
        };
        let Some(mailbox) = mailbox else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        mailbox.post_log(&json!({
            "type": "log",
            "level": level.as_str().to_ascii_lowercase(),
            "message": message,
            "fields": fields.0,
        }));
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.insert(field, u64::try_from(value).unwrap_or(u64::MAX).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }
}
