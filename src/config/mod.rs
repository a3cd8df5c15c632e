//! What a client may be told: options as they cross the border, their defaults and bounds, and the one
//! `build()` that turns them into a [`Config`] or an error that names the field and its limit.
//!
//! Bounds and defaults live here alone; the TypeScript face only checks that a number is a number.

mod oauth;
mod proxy;
#[cfg(not(target_arch = "wasm32"))]
mod rsa;
mod spool;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

use crate::error::{Error, ErrorKind};
use oauth::ReadKey;
pub use oauth::{OAuthConfig, OAuthOptions};
pub use proxy::EnvironmentProxies;
use proxy::Proxies;
pub use spool::{Durability, ENCRYPTION_KEY_LENGTH, SpoolConfig, SpoolOptions, encryption_key};

/// Segment's US endpoint (Segment docs, HTTP Tracking API).
pub const HOST_US: &str = "https://api.segment.io";
/// Segment's EU endpoint (Segment docs, Regional Segment).
pub const HOST_EU: &str = "https://events.eu1.segmentapis.com";
/// At most this many events in one request: Segment answers 200 to more and throws them away.
pub const MAX_BATCH_EVENTS: usize = 2_500;
/// At most this many bytes of JSON in one request (Segment docs: 500 KB).
pub const MAX_BATCH_BYTES: usize = 500_000;

const DEFAULT_FLUSH_AT: usize = 15;
const DEFAULT_FLUSH_INTERVAL_MS: u64 = 10_000;
const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 15_000;
const DEFAULT_QUEUE_BYTES: usize = 64 * 1024 * 1024;
const DEFAULT_REQUESTS: usize = 4;
const TWELVE_HOURS: Duration = Duration::from_secs(43_200);
const SEVEN_DAYS_S: u64 = 7 * 86_400;
const DEFAULT_EXIT_TIMEOUT_MS: u64 = 1_000;
/// Node's own limit for timers, so that no duration means something else on the other side.
const MAX_TIMER_MS: f64 = 2_147_483_647.0;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A value that shows itself to nobody but the request being sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// What gives way when the queue holds `maxQueueBytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The event being tracked is refused with `ERR_QUEUE_FULL`.
    #[default]
    DropNewest,
    /// The oldest waiting events make room; those already in a request stay.
    DropOldest,
}

/// Segment's regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// [`HOST_US`]
    #[default]
    Us,
    /// [`HOST_EU`]
    Eu,
}

/// Options as JavaScript gives them. Numbers stay `f64` until `build()` has looked at them, so that -5,
/// 1.5 and 1e300 are refused instead of being bent into range.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the TypeScript options carry the documentation of each field")]
pub struct Options {
    pub write_key: String,
    pub host: Option<String>,
    pub path: Option<String>,
    pub region: Option<Region>,
    pub flush_at: Option<f64>,
    pub flush_interval: Option<f64>,
    pub max_retries: Option<f64>,
    pub http_request_timeout: Option<f64>,
    pub max_total_backoff_duration: Option<f64>,
    pub max_rate_limit_duration: Option<f64>,
    pub max_event_age: Option<f64>,
    pub max_queue_bytes: Option<f64>,
    pub max_concurrent_requests: Option<f64>,
    pub exit_timeout: Option<f64>,
    pub overflow: Option<Overflow>,
    pub gzip: Option<bool>,
    pub disable: Option<bool>,
    pub allow_insecure_host: Option<bool>,
    pub spool: Option<SpoolOptions>,
    pub oauth: Option<OAuthOptions>,
    pub proxy: Option<String>,
    pub environment_proxies: Option<EnvironmentProxies>,
    pub ca: Option<String>,
    /// `20.19.0`, for the user agent and `_metadata`.
    pub node_version: String,
}

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Segment's name for the source.
    pub write_key: Secret<String>,
    /// Where batches are posted.
    pub endpoint: Url,
    /// A send starts at this many waiting events.
    pub flush_at: usize,
    /// The most events in one request: `flush_at` when given, else [`MAX_BATCH_EVENTS`].
    pub max_batch_events: usize,
    /// A send starts when the oldest event has waited for this long.
    pub flush_interval: Duration,
    /// Failed attempts after the first before an event is given up; `None`: only its age counts.
    pub max_retries: Option<u32>,
    /// One whole attempt, answer included.
    pub request_timeout: Duration,
    /// Connecting, TLS included.
    pub connect_timeout: Duration,
    /// Time since a batch's first counted failure before it is given up.
    pub max_total_backoff: Duration,
    /// Time in a rate limit before what waits is given up.
    pub max_rate_limit: Duration,
    /// Age at which an event is given up.
    pub max_event_age: Duration,
    /// Bytes the queue may hold, requests in flight included.
    pub max_queue_bytes: usize,
    /// Requests in flight at once.
    pub max_concurrent_requests: usize,
    /// How long a way out of the process may wait for delivery.
    pub exit_timeout: Duration,
    /// What gives way at `max_queue_bytes`.
    pub overflow: Overflow,
    /// Compress request bodies.
    pub gzip: bool,
    /// Accept and count events, send nothing.
    pub disable: bool,
    /// HTTP proxy on the way to `endpoint`, perhaps with credentials.
    pub proxy: Option<Secret<Url>>,
    /// Further certificate authorities, PEM.
    pub ca: Option<String>,
    /// How to get tokens; `None`: the write key is all there is.
    pub oauth: Option<OAuthConfig>,
    /// Where events wait on disk, if they do.
    pub spool: Option<SpoolConfig>,
    /// Version of Node, without the `v`.
    pub node_version: String,
}

impl Options {
    /// Checks every field and fills in the defaults; whoever drives the client brings `read_key`.
    ///
    /// # Errors
    /// `ERR_WRITE_KEY_MISSING`, or `ERR_OPTION_INVALID` with the field and what it may be.
    pub fn build_with(self, read_key: ReadKey) -> Result<Config, Error> {
        let explicit_flush_at = self.flush_at.is_some();
        let spool = self.spool.as_ref().map(spool::spool).transpose()?;
        // What is safe on disk is not given up for a long outage, only for its age.
        let (patience, max_age_s) = if spool.is_some() {
            (Duration::MAX, SEVEN_DAYS_S)
        } else {
            (TWELVE_HOURS, TWELVE_HOURS.as_secs())
        };
        let region = self.region.unwrap_or_default();
        let insecure = self.allow_insecure_host.unwrap_or(false);
        let max_retries = max_retries("maxRetries", self.max_retries)?;
        let proxies = Proxies::new(self.proxy.as_deref(), self.environment_proxies.as_ref())?;
        let oauth = self
            .oauth
            .map(|oauth| oauth.build(region, max_retries, insecure, &proxies, read_key))
            .transpose()?;
        let endpoint = endpoint(self.host.as_deref(), self.path.as_deref(), region, insecure)?;
        let flush_at =
            whole("flushAt", self.flush_at, DEFAULT_FLUSH_AT, 0..=MAX_BATCH_EVENTS as u64, "events")?.max(1);
        Ok(Config {
            write_key: write_key(self.write_key)?,
            proxy: proxies.to(&endpoint),
            endpoint,
            flush_at,
            max_batch_events: if explicit_flush_at { flush_at } else { MAX_BATCH_EVENTS },
            flush_interval: milliseconds("flushInterval", self.flush_interval, DEFAULT_FLUSH_INTERVAL_MS, 0)?,
            max_retries,
            request_timeout: milliseconds(
                "httpRequestTimeout",
                self.http_request_timeout,
                DEFAULT_REQUEST_TIMEOUT_MS,
                1,
            )?,
            connect_timeout: CONNECT_TIMEOUT,
            max_total_backoff: seconds("maxTotalBackoffDuration", self.max_total_backoff_duration, patience)?,
            max_rate_limit: seconds("maxRateLimitDuration", self.max_rate_limit_duration, patience)?,
            max_event_age: milliseconds("maxEventAge", self.max_event_age, max_age_s * 1_000, 1)?,
            max_queue_bytes: whole(
                "maxQueueBytes",
                self.max_queue_bytes,
                DEFAULT_QUEUE_BYTES,
                1 << 16..=1 << 36,
                "bytes",
            )?,
            max_concurrent_requests: whole(
                "maxConcurrentRequests",
                self.max_concurrent_requests,
                DEFAULT_REQUESTS,
                1..=64,
                "requests",
            )?,
            exit_timeout: milliseconds("exitTimeout", self.exit_timeout, DEFAULT_EXIT_TIMEOUT_MS, 0)?,
            overflow: self.overflow.unwrap_or_default(),
            gzip: self.gzip.unwrap_or(true),
            disable: self.disable.unwrap_or(false),
            ca: self.ca.map(certificates).transpose()?,
            oauth,
            spool,
            node_version: self.node_version,
        })
    }
}

fn write_key(key: String) -> Result<Secret<String>, Error> {
    if key.is_empty() {
        // The text analytics-node throws.
        return Err(Error::new(ErrorKind::WriteKeyMissing, "writeKey writeKey is missing."));
    }
    if key.trim().is_empty() {
        let text = "Write key cannot be empty or whitespace only";
        return Err(Error::new(ErrorKind::WriteKeyMissing, text));
    }
    Ok(Secret(key))
}

/// A whole number within bounds, or the default.
/// On a machine with 32 bits not all of the bounds can be counted to: beyond its own, a number is out of bounds.
fn whole<T: TryFrom<u64>>(
    field: &'static str,
    value: Option<f64>,
    default: T,
    bounds: RangeInclusive<u64>,
    unit: &str,
) -> Result<T, Error> {
    let Some(value) = value else { return Ok(default) };
    let (min, max) = (bounds.start(), bounds.end());
    #[allow(clippy::cast_precision_loss, reason = "the bounds are far below 2^53")]
    let is_within = value.fract() == 0.0 && value >= *min as f64 && value <= *max as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within bounds")]
    let number = is_within.then_some(value as u64).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| Error::option(field, format!("a whole number of {unit} from {min} to {max}")))
}

fn milliseconds(field: &'static str, value: Option<f64>, default: u64, min: u32) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(Duration::from_millis(default)) };
    if value < f64::from(min) || value > MAX_TIMER_MS {
        return Err(Error::option(field, format!("a number of milliseconds from {min} to {MAX_TIMER_MS}")));
    }
    Ok(Duration::from_secs_f64(value / 1_000.0))
}

/// A duration in seconds, as analytics-node counts these two.
fn seconds(field: &'static str, value: Option<f64>, default: Duration) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(default) };
    if !(0.0..=MAX_TIMER_MS).contains(&value) {
        return Err(Error::option(field, format!("a number of seconds from 0 to {MAX_TIMER_MS}")));
    }
    Ok(Duration::from_secs_f64(value))
}

fn max_retries(field: &'static str, value: Option<f64>) -> Result<Option<u32>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    whole(field, value, 0, 0..=1_000_000, "retries").map(Some)
}

fn endpoint(host: Option<&str>, path: Option<&str>, region: Region, insecure: bool) -> Result<Url, Error> {
    let default = match region {
        Region::Us => HOST_US,
        Region::Eu => HOST_EU,
    };
    let base = base("host", host.unwrap_or(default), insecure)?;
    let endpoint = base
        .join(path.unwrap_or("/v1/batch"))
        .map_err(|_| Error::option("path", "a URL path such as /v1/batch"))?;
    if endpoint.origin() != base.origin() {
        return Err(Error::option("path", "a URL path such as /v1/batch"));
    }
    Ok(without_trailing_slash(endpoint))
}

/// Where something of Segment's is: customer data and tokens only travel encrypted, or not at all.
fn base(field: &'static str, text: &str, insecure: bool) -> Result<Url, Error> {
    const LIMIT: &str =
        "an absolute https URL such as https://api.segment.io, without user, query or fragment";
    let base = Url::parse(text).map_err(|_| Error::option(field, LIMIT))?;
    let carries_more = !base.username().is_empty()
        || base.password().is_some()
        || base.fragment().is_some()
        || base.query().is_some();
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() || carries_more {
        return Err(Error::option(field, LIMIT));
    }
    if base.scheme() == "http" && !insecure && !is_loopback(&base) {
        let limit = "an https URL (plain http would show customer data to the network; for a host you trust set allowInsecureHost)";
        return Err(Error::option(field, limit));
    }
    Ok(base)
}

/// As analytics-node: one trailing slash of the joined URL goes.
fn without_trailing_slash(mut url: Url) -> Url {
    let trimmed = url.path().strip_suffix('/').map(str::to_owned);
    if let Some(path) = trimmed {
        url.set_path(&path);
    }
    url
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn certificates(pem: String) -> Result<String, Error> {
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(Error::option("ca", "one or more PEM certificates (BEGIN CERTIFICATE)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { write_key: "key".into(), ..Options::default() }
    }

    fn refused(options: Options) -> (&'static str, String) {
        let error = options.build().expect_err("must be refused");
        assert_eq!(error.kind(), ErrorKind::OptionInvalid);
        (error.field().unwrap_or_default(), error.to_string())
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = options().build().unwrap();
        assert_eq!(config.endpoint.as_str(), "https://api.segment.io/v1/batch");
        assert_eq!((config.flush_at, config.max_batch_events), (15, 2_500));
        assert_eq!(config.flush_interval, Duration::from_secs(10));
        assert_eq!(config.max_retries, None);
        assert_eq!(config.max_queue_bytes, 67_108_864);
        assert!(config.gzip && !config.disable);
    }

    #[test]
    fn an_explicit_flush_at_caps_the_batch() {
        let config = Options { flush_at: Some(100.0), ..options() }.build().unwrap();
        assert_eq!((config.flush_at, config.max_batch_events), (100, 100));
    }

    #[test]
    fn zero_flush_at_means_one_as_in_analytics_node() {
        assert_eq!(Options { flush_at: Some(0.0), ..options() }.build().unwrap().flush_at, 1);
    }

    #[test]
    fn numbers_out_of_bounds_name_the_field_and_the_limit() {
        for value in [-5.0, 1.5, 2_501.0, 1e300] {
            let (field, text) = refused(Options { flush_at: Some(value), ..options() });
            assert_eq!(field, "flushAt");
            assert_eq!(text, "The option flushAt must be a whole number of events from 0 to 2500.");
        }
        assert_eq!(refused(Options { max_retries: Some(-1.0), ..options() }).0, "maxRetries");
        assert_eq!(refused(Options { flush_interval: Some(1e12), ..options() }).0, "flushInterval");
        assert_eq!(refused(Options { max_queue_bytes: Some(1.0), ..options() }).0, "maxQueueBytes");
        assert_eq!(
            refused(Options { max_rate_limit_duration: Some(-1.0), ..options() }).0,
            "maxRateLimitDuration"
        );
    }

    #[test]
    fn the_write_key_is_required_and_never_shown() {
        let text = |key: &str| {
            Options { write_key: key.into(), ..Options::default() }.build().unwrap_err().to_string()
        };
        assert_eq!(text(""), "writeKey writeKey is missing.");
        assert_eq!(text(" \t"), "Write key cannot be empty or whitespace only");
        let config = Options { write_key: "planted-secret".into(), ..Options::default() }.build().unwrap();
        assert!(!format!("{config:?}").contains("planted-secret"));
    }

    #[test]
    fn hosts_are_checked() {
        let host = |host: &str| Options { host: Some(host.into()), ..options() };
        for bad in [
            "",
            "nope",
            "ftp://a.example",
            "http://a.example",
            "https://user:pw@a.example",
            "https://a.example/#x",
        ] {
            assert_eq!(refused(host(bad)).0, "host", "{bad}");
        }
        for good in ["https://a.example", "http://localhost:3000", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(host(good).build().is_ok(), "{good}");
        }
        let trusted = Options { allow_insecure_host: Some(true), ..host("http://collector.internal") };
        assert_eq!(trusted.build().unwrap().endpoint.as_str(), "http://collector.internal/v1/batch");
    }

    #[test]
    fn path_replaces_the_path_of_the_host() {
        let path = |path: &str| Options {
            path: Some(path.into()),
            host: Some("https://a.example/x/".into()),
            ..options()
        };
        assert_eq!(path("/v2/b/").build().unwrap().endpoint.as_str(), "https://a.example/v2/b");
        assert_eq!(refused(path("https://evil.example/")).0, "path");
    }

    #[test]
    fn regions_have_their_hosts() {
        let eu = Options { region: Some(Region::Eu), ..options() }.build().unwrap();
        assert_eq!(eu.endpoint.as_str(), "https://events.eu1.segmentapis.com/v1/batch");
    }

    #[test]
    fn proxies_and_certificates_are_checked() {
        assert_eq!(refused(Options { proxy: Some("nope".into()), ..options() }).0, "proxy");
        assert_eq!(refused(Options { ca: Some("nope".into()), ..options() }).0, "ca");
    }
}
