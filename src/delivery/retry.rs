//! What an answer means, and how long to wait. Pure: the clock and the generator are the caller's.
//!
//! The README has the table ("What a response means"); which codes are worth a retry is Segment's own list (Twilio support,
//! "Understanding Segment Retry Logic for HTTP Status Codes").

use std::time::{Duration, SystemTime};

use fastrand::Rng;

use crate::stats::DropReason;

const BACKOFF_BASE: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// `X-RateLimit-Reset` is in seconds from now; a number this large can only be a date.
const EPOCH_SECONDS_FROM: u64 = 1_000_000_000;

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Segment has it.
    Delivered,
    /// Try again after a backoff; it counts as an attempt.
    Retry(DropReason),
    /// The whole client waits; it counts as no attempt.
    Throttled(Duration),
    /// Something in it is bad: try its halves.
    Split,
    /// Give it up.
    Drop(DropReason),
}

/// Judges an answer by its status and the pause it asks for.
#[must_use]
pub fn classify(status: u16, pause: Option<Duration>) -> Verdict {
    match (status, pause) {
        (200..=299, _) => Verdict::Delivered,
        (429 | 503, Some(pause)) => Verdict::Throttled(pause.clamp(PAUSE_MIN, PAUSE_MAX)),
        (300..=399, _) => Verdict::Retry(DropReason::Redirect),
        (400 | 413 | 422, _) => Verdict::Split,
        (401 | 403, _) => Verdict::Drop(DropReason::Unauthorized),
        (429, None) => Verdict::Retry(DropReason::RateLimited),
        (408 | 410 | 460, _) => Verdict::Retry(DropReason::Server),
        (400..=499 | 501 | 505, _) => Verdict::Drop(DropReason::Rejected),
        _ => Verdict::Retry(DropReason::Server),
    }
}

/// The pause an answer asks for: the longer of `Retry-After` (seconds or an HTTP date, RFC 9110) and
/// `X-RateLimit-Reset` (seconds, Segment docs). What can't be read asks for nothing.
#[must_use]
pub fn requested_pause(
    retry_after: Option<&str>,
    rate_limit_reset: Option<&str>,
    now: SystemTime,
) -> Option<Duration> {
    let until = |moment: SystemTime| moment.duration_since(now).unwrap_or_default();
    let retry_after = retry_after.map(str::trim).and_then(|text| {
        text.parse().map(Duration::from_secs).ok().or_else(|| httpdate::parse_http_date(text).ok().map(until))
    });
    let rate_limit_reset = rate_limit_reset.and_then(|text| text.trim().parse::<u64>().ok()).map(|seconds| {
        if seconds < EPOCH_SECONDS_FROM {
            Duration::from_secs(seconds)
        } else {
            until(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(u64::from(u32::MAX))))
        }
    });
    retry_after.max(rate_limit_reset)
}

/// Equal jitter: half of the doubling delay for sure, the other half by chance.
#[must_use]
pub fn backoff(failures: u32, generator: &mut Rng) -> Duration {
    let doubled = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let half = doubled.min(BACKOFF_CAP) / 2;
    half + half.mul_f64(generator.f64())
}

/// A little more than the pause, so that a fleet does not come back as one.
#[must_use]
pub fn spread(pause: Duration, generator: &mut Rng) -> Duration {
    pause + pause.mul_f64(0.1 * generator.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        use DropReason::{RateLimited, Redirect, Rejected, Server, Unauthorized};
        let table: &[(&[u16], Verdict)] = &[
            (&[200, 201, 202, 204, 299], Verdict::Delivered),
            (&[301, 302, 303, 304, 307, 308], Verdict::Retry(Redirect)),
            (&[400, 413, 422], Verdict::Split),
            (&[401, 403], Verdict::Drop(Unauthorized)),
            (&[402, 404, 405, 409, 415, 425, 431, 451, 499], Verdict::Drop(Rejected)),
            (&[408, 410, 460], Verdict::Retry(Server)),
            (&[429], Verdict::Retry(RateLimited)),
            (&[500, 502, 503, 504, 507, 511, 520, 529, 599, 100, 600], Verdict::Retry(Server)),
            (&[501, 505], Verdict::Drop(Rejected)),
        ];
        for (statuses, verdict) in table {
            for status in *statuses {
                assert_eq!(classify(*status, None), *verdict, "{status}");
            }
        }
    }

    #[test]
    fn only_429_and_503_may_ask_for_a_pause_of_1_to_300_seconds() {
        let seconds = Duration::from_secs;
        assert_eq!(classify(429, Some(seconds(0))), Verdict::Throttled(seconds(1)));
        assert_eq!(classify(503, Some(seconds(7))), Verdict::Throttled(seconds(7)));
        assert_eq!(classify(429, Some(seconds(86_400))), Verdict::Throttled(seconds(300)));
        assert_eq!(classify(500, Some(seconds(7))), Verdict::Retry(DropReason::Server));
    }

    #[test]
    fn pauses_are_read_as_seconds_and_as_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let pause = |after, reset| requested_pause(after, reset, now).map(|pause| pause.as_secs());
        assert_eq!(pause(Some("120"), None), Some(120));
        assert_eq!(pause(Some(" 0 "), None), Some(0));
        assert_eq!(pause(Some("Sun, 06 Nov 1994 08:50:07 GMT"), None), Some(30));
        assert_eq!(pause(Some("Sun, 06 Nov 1994 08:00:00 GMT"), None), Some(0));
        assert_eq!(pause(None, Some("45")), Some(45));
        assert_eq!(pause(Some("10"), Some("45")), Some(45));
        assert_eq!(pause(None, Some("1784111777")), Some(1_784_111_777 - 784_111_777));
        assert_eq!(pause(None, Some("999999999")), Some(999_999_999), "no date yet");
        assert_eq!(pause(None, Some("1000000000")), Some(1_000_000_000 - 784_111_777));
        assert_eq!(pause(None, Some("99999999999")), Some(u64::from(u32::MAX) - 784_111_777));
        for garbage in ["", "soon", "-5", "1.5", "99999999999999999999999"] {
            assert_eq!(pause(Some(garbage), Some(garbage)), None, "{garbage}");
        }
    }

    #[test]
    fn backoff_doubles_from_half_a_second_to_a_minute_with_equal_jitter() {
        let mut generator = Rng::with_seed(7);
        for (failures, full) in [(1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (1_000, 60_000)]
        {
            for _ in 0..200 {
                let delay = backoff(failures, &mut generator).as_millis();
                assert!((full / 2..=full).contains(&delay), "{failures}: {delay}");
            }
        }
        assert_eq!(backoff(3, &mut Rng::with_seed(1)), backoff(3, &mut Rng::with_seed(1)));
    }

    #[test]
    fn a_pause_is_never_cut_short() {
        let mut generator = Rng::with_seed(7);
        let pause = Duration::from_secs(100);
        assert!((0..200).all(|_| (pause..=pause * 11 / 10).contains(&spread(pause, &mut generator))));
    }
}
