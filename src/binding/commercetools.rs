//! The customer pipeline as JavaScript calls it: text in, text out.

use napi::JsString;
use napi_derive::napi;
use serde::Serialize;

use super::{environment, refused, with_utf8};
use crate::commercetools::{About, Customer, Identify, Parsed, UserId, read, read_customer};
use crate::event::{EventType, Parts};
use crate::queue::Tracking;
use crate::stats::Refusal;

/// What a notification is, as JSON: `{ kind, reason?, customer?, about? }`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
enum Answer<'a> {
    Identify { customer: &'a Customer<'a>, about: &'a About<'a> },
    Ignore { reason: &'static str, about: &'a About<'a> },
    NeedsFetch { reason: &'static str, about: &'a About<'a> },
    Invalid { reason: &'static str },
}

impl<'a> From<Parsed<'a>> for Answer<'a> {
    fn from(parsed: Parsed<'a>) -> Self {
        match parsed {
            Parsed::Identify(customer, about) => Self::Identify { customer, about },
            Parsed::Ignore(reason, about) => Self::Ignore { reason, about },
            Parsed::NeedsFetch(reason, about) => Self::NeedsFetch { reason, about },
            Parsed::Invalid(reason) => Self::Invalid { reason },
        }
    }
}

/// Reads a raw notification. The answer is JSON, see `Answer`.
#[napi]
pub fn parse_notification(raw: String) -> String {
    read(raw.as_bytes(), |parsed| json(&Answer::from(parsed)))
}

/// The shortest way from a raw notification to a call. `userId` is the number of the field.
///
/// Without a client (0) the answer is the message of the identify call, with `=` before it. A client takes that message
/// in here and now, held: the answer is its messageId with `+` before it, or, where the client refuses it, `-`, the number of
/// the reason and the message. Whatever is not a customer with that id is answered as by `parse_notification`.
#[napi]
pub fn identify_notification(raw: JsString, user_id: u32, client: u32) -> napi::Result<String> {
    let answer = with_utf8(&raw, |text| text.map(|text| identified(text, user_id, client)));
    match answer {
        Some(answer) => Ok(answer),
        None => Ok(identified(raw.into_utf8()?.as_slice(), user_id, client)),
    }
}

fn identified(raw: &[u8], user_id: u32, client: u32) -> String {
    read(raw, |parsed| match parsed {
        Parsed::Identify(customer, about) => match Identify::new(customer, user_id_of(user_id), about) {
            Some(identify) if client == 0 => format!("={}", json(&identify)),
            Some(identify) => taken_in(&identify, client),
            None => json(&Answer::Invalid { reason: "missing-user-id" }),
        },
        other => json(&Answer::from(other)),
    })
}

fn taken_in(identify: &Identify<'_>, client: u32) -> String {
    let message = json(identify);
    let parts = Parts {
        context: false,
        message_id: identify.message_id.is_some(),
        timestamp: identify.timestamp.is_some(),
        integrations: false,
    };
    let enqueued = environment::with_client(client, |client| {
        client.enqueue_held(message.as_bytes(), EventType::Identify, parts, Tracking::Nobody)
    });
    match enqueued.unwrap_or(Err(Refusal::Closed)) {
        Ok(_) => format!("+{}", identify.message_id.as_deref().unwrap_or_default()),
        Err(reason) => format!("{}{message}", refused(reason)),
    }
}

/// A customer as the parameters of an identify call: JSON to JSON. Empty for what is no customer, or has no such id.
#[napi]
pub fn identify_customer(customer: String, about: String, user_id: u32) -> String {
    let about = serde_json::from_str::<About<'_>>(&about).unwrap_or_default();
    read_customer(customer.as_bytes(), |customer| {
        let identify = customer.and_then(|customer| Identify::new(customer, user_id_of(user_id), &about));
        identify.map(|identify| json(&identify)).unwrap_or_default()
    })
}

fn user_id_of(number: u32) -> UserId {
    UserId::ALL.get(number as usize).copied().unwrap_or(UserId::Email)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
