//! What the batches of one client learn from each other about the way to Segment: whether it takes gzip, and whether
//! anything should be sent at all. Pure.

use std::time::Duration;

use fastrand::Rng;

use crate::delivery::retry;

/// How often a refused write key is tried again, give or take a tenth.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(300);
/// Somebody who waits for an event gets a verdict of Segment's own, but not more often than this.
const AWAITED_INTERVAL: Duration = Duration::from_secs(1);
/// So many refusals without one success are no longer the fault of events: something on the way refuses everything.
const REFUSALS_OF_AN_OUTAGE: u32 = 64;

/// Whether the other side takes gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nobody knows.
    Untested,
    /// A compressed body was refused and so was the plain one: plain it is, until one is taken.
    Doubtful,
    /// It does.
    Taken,
    /// It does not.
    Refused,
}

/// What is wrong with the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Sound,
    /// Segment asked for a pause.
    Limited,
    /// Segment refused the write key, or the authorization server its client, for the last time at this moment.
    KeyRefused(Duration),
    /// Everything is refused; so many probes were.
    Outage(u32),
}

/// Who may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everybody.
    Open,
    /// One request at a time.
    Probe,
    /// Nobody before this moment.
    ClosedUntil(Duration),
}

/// What a success put an end to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing.
    Nothing,
    /// A refusal of the write key.
    KeyRefused,
    /// An outage.
    Outage,
}

/// The way of one client.
#[derive(Debug)]
pub struct Route {
    /// Whether the other side takes gzip.
    pub compression: Compression,
    condition: Condition,
    open_from: Duration,
    limited_since: Option<Duration>,
    refusals: u32,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            compression: Compression::Untested,
            condition: Condition::Sound,
            open_from: Duration::ZERO,
            limited_since: None,
            refusals: 0,
        }
    }
}

impl Route {
    /// Who may send now.
    #[must_use]
    pub fn permission(&self, now: Duration) -> Permission {
        if now < self.open_from {
            return Permission::ClosedUntil(self.open_from);
        }
        match self.condition {
            Condition::Sound | Condition::Limited => Permission::Open,
            Condition::KeyRefused(_) | Condition::Outage(_) => Permission::Probe,
        }
    }

    /// From when on an event that somebody waits for may be sent although the write key is refused.
    #[must_use]
    pub fn awaited_from(&self) -> Option<Duration> {
        match self.condition {
            Condition::KeyRefused(at) => Some(at + AWAITED_INTERVAL),
            _ => None,
        }
    }

    /// When the write key was refused for the last time, if it is.
    #[must_use]
    pub const fn key_refused_at(&self) -> Option<Duration> {
        match self.condition {
            Condition::KeyRefused(at) => Some(at),
            _ => None,
        }
    }

    /// Whether everything is refused.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self.condition, Condition::Outage(_))
    }

    /// Whether the next probe of an outage begins at the newest. Bad events stand together: what is good is sooner found
    /// from both ends.
    #[must_use]
    pub const fn probes_newest(&self) -> bool {
        matches!(self.condition, Condition::Outage(failures) if failures % 2 == 1)
    }

    /// Segment asks everybody to wait. The pause is stretched by chance and never cut short.
    pub fn limit(&mut self, pause: Duration, now: Duration, chance: &mut Rng) -> Duration {
        let pause = retry::spread(pause, chance);
        self.limited_since.get_or_insert(now);
        if self.condition == Condition::Sound {
            self.condition = Condition::Limited;
        }
        self.open_from = self.open_from.max(now + pause);
        pause
    }

    /// Since when Segment has answered with nothing but rate limits.
    #[must_use]
    pub const fn limited_since(&self) -> Option<Duration> {
        self.limited_since
    }

    /// An answer that was no rate limit.
    pub fn is_not_limited(&mut self) {
        self.limited_since = None;
        if self.condition == Condition::Limited {
            self.condition = Condition::Sound;
        }
    }

    /// Segment refused the write key.
    pub fn refuse_key(&mut self, now: Duration, chance: &mut Rng) {
        self.condition = Condition::KeyRefused(now);
        self.open_from = now + PROBE_INTERVAL.mul_f64(0.9 + 0.2 * chance.f64());
    }

    /// Segment refused the content of a request. True when that makes it an outage, which is news only the first time.
    pub fn refuse_content(&mut self, now: Duration, chance: &mut Rng) -> Option<bool> {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals < REFUSALS_OF_AN_OUTAGE {
            return None;
        }
        let failures = match self.condition {
            Condition::Outage(failures) => failures,
            _ => 0,
        };
        self.condition = Condition::Outage(failures + 1);
        self.open_from = now + retry::backoff(failures + 1, chance);
        Some(failures == 0)
    }

    /// A 2xx: the way is sound.
    pub const fn succeed(&mut self) -> Recovered {
        let recovered = match self.condition {
            Condition::Sound | Condition::Limited => Recovered::Nothing,
            Condition::KeyRefused(_) => Recovered::KeyRefused,
            Condition::Outage(_) => Recovered::Outage,
        };
        self.refusals = 0;
        self.limited_since = None;
        self.condition = Condition::Sound;
        self.open_from = Duration::ZERO;
        recovered
    }

    /// Somebody wants things sent now: the pause ends at `at`, once. What Segment asked for only ends `for_good`, where
    /// the alternative is not to send at all.
    pub fn end_pause(&mut self, at: Duration, for_good: bool) {
        if for_good || self.condition != Condition::Limited {
            self.open_from = self.open_from.min(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_limit_closes_the_way_and_only_a_way_out_ends_it() {
        let (mut route, mut chance) = (Route::default(), Rng::with_seed(1));
        let pause = route.limit(seconds(60), seconds(5), &mut chance);
        assert!(pause >= seconds(60) && pause <= seconds(66));
        assert_eq!(route.permission(seconds(5)), Permission::ClosedUntil(seconds(5) + pause));
        route.end_pause(seconds(6), false);
        assert!(matches!(route.permission(seconds(6)), Permission::ClosedUntil(_)));
        route.end_pause(seconds(6), true);
        assert_eq!(
            (route.permission(seconds(6)), route.limited_since()),
            (Permission::Open, Some(seconds(5)))
        );
        route.is_not_limited();
        assert_eq!(route.limited_since(), None);
    }

    #[test]
    fn a_refused_key_is_probed_every_five_minutes_or_when_somebody_asks() {
        let (mut route, mut chance) = (Route::default(), Rng::with_seed(1));
        route.refuse_key(seconds(1), &mut chance);
        let Permission::ClosedUntil(probe) = route.permission(seconds(1)) else { panic!("closed") };
        assert!(probe >= seconds(271) && probe <= seconds(331));
        assert_eq!(route.permission(probe), Permission::Probe);
        assert_eq!(route.awaited_from(), Some(seconds(2)));
        route.end_pause(seconds(3), false);
        assert_eq!(route.permission(seconds(3)), Permission::Probe);
        route.refuse_key(seconds(4), &mut chance);
        assert_eq!(
            (route.succeed(), route.permission(seconds(4))),
            (Recovered::KeyRefused, Permission::Open)
        );
    }

    #[test]
    fn sixty_four_refusals_without_a_success_are_an_outage() {
        let (mut route, mut chance) = (Route::default(), Rng::with_seed(1));
        for _ in 0..63 {
            assert_eq!(route.refuse_content(seconds(1), &mut chance), None);
        }
        route.succeed();
        for _ in 0..63 {
            assert_eq!(route.refuse_content(seconds(1), &mut chance), None);
        }
        assert_eq!(route.refuse_content(seconds(1), &mut chance), Some(true));
        assert!(matches!(route.permission(seconds(1)), Permission::ClosedUntil(_)));
        assert_eq!(route.permission(seconds(2)), Permission::Probe);
        assert!(route.probes_newest());
        assert_eq!(route.refuse_content(seconds(2), &mut chance), Some(false), "told once");
        assert!(!route.probes_newest(), "in turns");
        let Permission::ClosedUntil(next) = route.permission(seconds(2)) else { panic!("closed") };
        assert!(next >= seconds(2) + Duration::from_millis(500), "the second pause is twice as long");
        assert_eq!(route.succeed(), Recovered::Outage);
    }
}
