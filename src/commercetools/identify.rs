//! From a customer to Segment's identify call (Segment spec, "Identify": reserved traits).

use std::borrow::Cow;

use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::customer::{Address, Customer};
use super::notification::About;

/// Segment throws away messages with a longer id (HTTP Tracking API).
const MAX_MESSAGE_ID_CHARACTERS: usize = 100;

/// Which field of the customer is the user's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserId {
    /// The e-mail address, as the stories have it.
    Email,
    /// Commercetools' own id: it never changes.
    CustomerId,
    /// The shop's number.
    CustomerNumber,
    /// The id of another system.
    ExternalId,
}

impl UserId {
    /// In the order of their numbers at the border.
    pub const ALL: [Self; 4] = [Self::Email, Self::CustomerId, Self::CustomerNumber, Self::ExternalId];

    fn of<'c>(self, customer: &'c Customer<'_>) -> Option<&'c str> {
        let id = match self {
            Self::Email => &customer.email,
            Self::CustomerId => &customer.id,
            Self::CustomerNumber => &customer.customer_number,
            Self::ExternalId => &customer.external_id,
        };
        id.as_deref().map(str::trim)
    }
}

/// The message of an identify call, as the engine takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identify<'c> {
    /// Always the same for the same notification, so that Segment drops what is delivered twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// When it happened, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<&'c str>,
    /// Never blank.
    pub user_id: &'c str,
    /// What is known of the user.
    pub traits: Traits<'c>,
}

/// The traits that customers have in common. There are no others.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named and documented by Segment")]
pub struct Traits<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'c, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<PostalAddress<'c>>,
}

/// Segment's reserved trait `address`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named and documented by Segment")]
pub struct PostalAddress<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street: Option<Cow<'c, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<&'c str>,
}

impl<'c> Identify<'c> {
    /// The call for a customer; `None` when the customer has no such id.
    #[must_use]
    pub fn new(customer: &'c Customer<'_>, user_id: UserId, about: &'c About<'_>) -> Option<Self> {
        Some(Self {
            message_id: about.message_id(),
            timestamp: about.occurred_at.as_deref().filter(|time| time.parse::<jiff::Timestamp>().is_ok()),
            user_id: user_id.of(customer)?,
            traits: Traits::of(customer),
        })
    }
}

impl<'c> Traits<'c> {
    fn of(customer: &'c Customer<'_>) -> Self {
        let trimmed = |text: &'c Option<Cow<'_, str>>| text.as_deref().map(str::trim);
        let (first, last) = (trimmed(&customer.first_name), trimmed(&customer.last_name));
        Self {
            email: trimmed(&customer.email),
            first_name: first,
            last_name: last,
            name: trimmed(&customer.full_name)
                .map(Cow::Borrowed)
                .or_else(|| joined([first, trimmed(&customer.middle_name), last])),
            address: customer.main_address().and_then(PostalAddress::of),
        }
    }
}

impl<'c> PostalAddress<'c> {
    fn of(address: &'c Address<'_>) -> Option<Self> {
        let trimmed = |text: &'c Option<Cow<'_, str>>| text.as_deref().map(str::trim);
        let postal = Self {
            street: joined([trimmed(&address.street_name), trimmed(&address.street_number)]),
            city: trimmed(&address.city),
            state: trimmed(&address.state).or_else(|| trimmed(&address.region)),
            postal_code: trimmed(&address.postal_code),
            country: trimmed(&address.country),
        };
        let nothing = Self { street: None, city: None, state: None, postal_code: None, country: None };
        (postal != nothing).then_some(postal)
    }
}

impl About<'_> {
    /// `ct:<project>:<id of the message>`, or for a change `ct:<project>:<id of the resource>:<version>`. `None` without
    /// an id.
    fn message_id(&self) -> Option<String> {
        let project = self.project_key.as_deref().unwrap_or_default();
        let id = match (&self.id, &self.customer_id, self.version) {
            (Some(id), _, _) => id.to_string(),
            (None, Some(resource), Some(version)) => format!("{resource}:{version}"),
            _ => return None,
        };
        let whole = format!("ct:{project}:{id}");
        if whole.chars().count() <= MAX_MESSAGE_ID_CHARACTERS {
            return Some(whole);
        }
        let hash = digest(&SHA256, whole.as_bytes());
        Some(hash.as_ref().iter().fold("ct:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }
}

/// The parts that are there, with a space between them.
fn joined<'c, const N: usize>(parts: [Option<&'c str>; N]) -> Option<Cow<'c, str>> {
    let mut there = parts.into_iter().flatten();
    let first = there.next()?;
    Some(there.fold(Cow::Borrowed(first), |text, part| Cow::Owned(format!("{text} {part}"))))
}
