//! What a raw notification is: a customer to identify, or why there is none.
//!
//! Formats: Commercetools "Delivery payload formats" (Platform and `CloudEvents` 1.0), the envelope in which SNS sends
//! them over HTTP, and the simplified payload of story 19.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::customer::Customer;
use crate::lenient::{self, ObjectOrText};

/// Commercetools' messages end at 256 KB; escaped in an envelope they can be several times as long.
const MAX_BYTES: usize = 1024 * 1024;
/// An envelope in an envelope in an envelope: nobody sends more.
const MAX_ENVELOPES: usize = 4;

/// Messages that say which field of a customer changed, but not the rest of the customer.
const PARTIAL: [&str; 17] = [
    "CustomerEmailChanged",
    "CustomerFirstNameSet",
    "CustomerLastNameSet",
    "CustomerTitleSet",
    "CustomerCompanyNameSet",
    "CustomerDateOfBirthSet",
    "CustomerExternalIdSet",
    "CustomerAddressAdded",
    "CustomerAddressChanged",
    "CustomerAddressRemoved",
    "CustomerDefaultShippingAddressSet",
    "CustomerDefaultBillingAddressSet",
    "CustomerShippingAddressAdded",
    "CustomerBillingAddressAdded",
    // "If the shipping address is the default shipping address, the defaultShippingAddressId is unset."
    "CustomerShippingAddressRemoved",
    "CustomerBillingAddressRemoved",
    "CustomerEmailVerified",
];
/// Messages that hold the whole customer. `CustomerUpdated` is of story 19; Commercetools has none.
const WHOLE: [&str; 2] = ["CustomerCreated", "CustomerUpdated"];
/// Messages that hold a live token. Their resource is the token, not the customer.
const TOKENS: [&str; 2] = ["CustomerPasswordTokenCreated", "CustomerEmailTokenCreated"];

/// What was found in a notification.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A whole customer.
    Identify(&'a Customer<'a>, &'a About<'a>),
    /// Nothing to do, by the name of the reason.
    Ignore(&'static str, &'a About<'a>),
    /// A customer changed, and who wants to know how has to ask Commercetools.
    NeedsFetch(&'static str, &'a About<'a>),
    /// No notification at all, by the name of the reason.
    Invalid(&'static str),
}

/// Facts about a notification that are safe to log.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About<'a> {
    /// For example `CustomerCreated` or `ResourceUpdated`.
    #[serde(
        borrow,
        rename = "type",
        deserialize_with = "lenient::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<Cow<'a, str>>,
    /// The id of the message.
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The project that it is about.
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub project_key: Option<Cow<'a, str>>,
    /// The customer that it is about.
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Cow<'a, str>>,
    /// The customer's version after the change.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When it happened, ISO 8601.
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Cow<'a, str>>,
}

/// Every member that any of the formats has and that is of use.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    notification_type: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    project_key: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    resource: Option<Box<Resource<'a>>>,
    #[serde(deserialize_with = "lenient::number")]
    resource_version: Option<u64>,
    #[serde(deserialize_with = "lenient::number")]
    version: Option<u64>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    modified_at: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "payloadNotIncluded", deserialize_with = "lenient::object")]
    left_out: Option<Box<LeftOut<'a>>>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    customer: Option<Box<Customer<'a>>>,
    /// `CloudEvents`: the notification.
    #[serde(borrow, deserialize_with = "lenient::object_or_text")]
    data: Option<ObjectOrText<'a, Payload<'a>>>,
    /// `CloudEvents`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    specversion: Option<Cow<'a, str>>,
    /// `CloudEvents`: the path of the resources, the project before it.
    #[serde(borrow, deserialize_with = "lenient::text")]
    source: Option<Cow<'a, str>>,
    /// `CloudEvents`: the id of the resource.
    #[serde(borrow, deserialize_with = "lenient::text")]
    subject: Option<Cow<'a, str>>,
    /// `CloudEvents`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    time: Option<Cow<'a, str>>,
    /// SNS: the notification as text.
    #[serde(borrow, rename = "Message", deserialize_with = "lenient::text")]
    message: Option<Cow<'a, str>>,
    /// SNS.
    #[serde(borrow, rename = "TopicArn", deserialize_with = "lenient::text")]
    topic_arn: Option<Cow<'a, str>>,
}

impl Payload<'_> {
    /// What kind of thing it is about.
    fn entity(&self) -> Option<&str> {
        self.resource.as_ref()?.type_id.as_deref()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    type_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    id: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeftOut<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    payload_type: Option<Cow<'a, str>>,
}

/// Reads a raw notification and gives what it is to `then`.
pub fn read<R>(raw: &[u8], then: impl FnOnce(Parsed<'_>) -> R) -> R {
    let mut text = Cow::Borrowed(raw);
    for _ in 0..MAX_ENVELOPES {
        if text.len() > MAX_BYTES {
            return then(Parsed::Invalid("too-large"));
        }
        text = lenient::with_whole_characters(text);
        let inner = match outermost(&text) {
            Err(reason) => return then(Parsed::Invalid(reason)),
            Ok(ObjectOrText::Text(inner)) => inner.into_owned(),
            Ok(ObjectOrText::Object(payload)) => match opened(*payload) {
                ObjectOrText::Text(inner) => inner.into_owned(),
                ObjectOrText::Object(payload) => return classified(*payload, then),
            },
        };
        text = Cow::Owned(inner.into_bytes());
    }
    then(Parsed::Invalid("too-many-envelopes"))
}

fn outermost(raw: &[u8]) -> Result<ObjectOrText<'_, Payload<'_>>, &'static str> {
    if raw.trim_ascii().is_empty() {
        return Err("empty");
    }
    let mut json = serde_json::Deserializer::from_slice(raw);
    let found = lenient::object_or_text(&mut json).and_then(|found| json.end().map(|()| found));
    found.map_err(|_| "not-json")?.ok_or("not-an-object")
}

/// Takes off an envelope: of `CloudEvents` here and now, of SNS as the text that it holds.
fn opened(mut payload: Payload<'_>) -> ObjectOrText<'_, Payload<'_>> {
    if payload.topic_arn.is_some()
        && let Some(message) = payload.message
    {
        return ObjectOrText::Text(message);
    }
    if payload.specversion.is_none() {
        return ObjectOrText::Object(Box::new(payload));
    }
    match payload.data.take() {
        Some(ObjectOrText::Text(text)) => ObjectOrText::Text(text),
        Some(ObjectOrText::Object(mut data)) => {
            data.created_at = data.created_at.or(data.modified_at.take()).or(payload.time);
            data.id = data.id.or(payload.id.filter(|_| data.kind.is_some()));
            ObjectOrText::Object(data)
        }
        None => ObjectOrText::Object(Box::new(without_data(payload))),
    }
}

/// A `CloudEvent` whose data was too large says in its type what it was about.
fn without_data(event: Payload<'_>) -> Payload<'_> {
    let named = event.kind.as_deref().unwrap_or_default();
    let mut parts = named.rsplit('.');
    let (last, family, entity) = (parts.next(), parts.next(), parts.next());
    let is_change = family == Some("change");
    let project = event.source.as_deref().and_then(|path| path.strip_prefix('/')?.split('/').next());
    Payload {
        notification_type: last.map(|last| Cow::Owned(if is_change { last } else { "Message" }.to_owned())),
        kind: last.filter(|_| !is_change).map(|last| Cow::Owned(last.to_owned())),
        left_out: Some(Box::default()),
        resource: Some(Box::new(Resource {
            type_id: entity.map(|entity| Cow::Owned(entity.to_owned())),
            id: event.subject,
        })),
        project_key: project.filter(|key| !key.is_empty()).map(|key| Cow::Owned(key.to_owned())),
        id: event.id,
        created_at: event.time,
        ..Payload::default()
    }
}

fn classified<R>(mut payload: Payload<'_>, then: impl FnOnce(Parsed<'_>) -> R) -> R {
    let customer = payload.customer.take();
    let about = about(&mut payload, customer.as_deref());
    let entity = payload.entity();
    let kind = about.kind.as_deref().unwrap_or_default();
    let verdict = match (payload.notification_type.as_deref(), entity) {
        (Some("ResourceCreated"), Some("subscription")) => Parsed::Ignore("subscription-test", &about),
        (Some("Message") | None, _) if TOKENS.contains(&kind) => Parsed::Ignore("token", &about),
        (_, Some(entity)) if entity != "customer" => Parsed::Ignore("other-resource", &about),
        (Some("ResourceDeleted"), _) => Parsed::Ignore("deleted", &about),
        (Some("ResourceCreated" | "ResourceUpdated"), Some(_)) => fetch("resource-changed", &about),
        (Some("Message") | None, _) => match customer.as_deref() {
            Some(customer) if WHOLE.contains(&kind) => Parsed::Identify(customer, &about),
            _ => message(kind, payload.left_out.is_some(), &about),
        },
        (Some("Event"), _) => Parsed::Ignore("unsupported-type", &about),
        _ => Parsed::Invalid("not-a-notification"),
    };
    then(verdict)
}

/// A message without a whole customer in it.
fn message<'a>(kind: &str, is_left_out: bool, about: &'a About<'a>) -> Parsed<'a> {
    match kind {
        "" => Parsed::Invalid("not-a-notification"),
        "CustomerDeleted" => Parsed::Ignore("deleted", about),
        _ if WHOLE.contains(&kind) && is_left_out => fetch("payload-not-included", about),
        _ if WHOLE.contains(&kind) => Parsed::Invalid("missing-customer"),
        _ if PARTIAL.contains(&kind) => fetch("partial-message", about),
        _ if kind.starts_with("Customer") => Parsed::Ignore("unsupported-type", about),
        _ => Parsed::Ignore("other-resource", about),
    }
}

fn fetch<'a>(reason: &'static str, about: &'a About<'a>) -> Parsed<'a> {
    if about.customer_id.is_none() {
        return Parsed::Invalid("missing-customer-id");
    }
    Parsed::NeedsFetch(reason, about)
}

fn about<'a>(payload: &mut Payload<'a>, customer: Option<&Customer<'a>>) -> About<'a> {
    let left_out = payload.left_out.as_mut().and_then(|left_out| left_out.payload_type.take());
    let is_of_customer = payload.entity().is_none_or(|entity| entity == "customer");
    let resource = payload.resource.as_mut().and_then(|resource| resource.id.take());
    let is_change = payload.notification_type.as_deref().is_some_and(|kind| kind.starts_with("Resource"));
    // Of a message, `version` is always 1.
    let version = if is_change { payload.version } else { payload.resource_version };
    About {
        // "When payloadNotIncluded is set, do not rely on type."
        kind: left_out
            .or(payload.kind.take())
            .or_else(|| payload.notification_type.clone().filter(|_| is_change)),
        id: payload.id.take(),
        project_key: payload.project_key.take(),
        customer_id: resource
            .or_else(|| customer.and_then(|customer| customer.id.clone()))
            .filter(|_| is_of_customer),
        version: version.filter(|_| is_of_customer),
        occurred_at: payload.created_at.take().or(payload.modified_at.take()),
    }
}
