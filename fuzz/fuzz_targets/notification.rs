//! Raw bytes from outside: reading them ends, keeps little, and what comes out is fit to be sent.

#![no_main]

use companion_segment::testing::{Identify, Parsed, UserId, read, read_customer};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;

fuzz_target!(|raw: &[u8]| {
    let kept = read(raw, |parsed| match parsed {
        Parsed::Identify(customer, about) => {
            for user_id in UserId::ALL {
                if let Some(identify) = Identify::new(customer, user_id, about) {
                    check(&identify, raw.len());
                }
            }
            size(customer) + size(about)
        }
        Parsed::Ignore(_, about) | Parsed::NeedsFetch(_, about) => size(about),
        Parsed::Invalid(_) => 0,
    });
    assert!(kept <= 2 * raw.len() + 200, "{kept} bytes are kept of {}", raw.len());
    // A customer that the application fetched.
    let fetched = read_customer(raw, |customer| customer.map_or(0, |customer| size(customer)));
    assert!(fetched <= raw.len() + 2, "{fetched} bytes are kept of {}", raw.len());
});

fn check(identify: &Identify<'_>, length: usize) {
    assert!(!identify.user_id.trim().is_empty(), "users without an id are not told apart");
    assert!(identify.message_id.as_ref().is_none_or(|id| id.len() <= 100), "Segment refuses longer ids");
    assert!(size(identify) <= 3 * length + 300, "a call is not much longer than its notification");
}

fn size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.len())
}
