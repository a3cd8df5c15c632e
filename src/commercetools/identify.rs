//! From a customer to Segment's identify call (Segment spec, "Identify": reserved traits).

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::customer::{Address, Customer};
use super::notification::About;

/// Segment throws away messages with an id of more characters (HTTP Tracking API). Ids of Commercetools are ASCII.
const MAX_MESSAGE_ID_BYTES: usize = 100;

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
    /// When it happened, as JavaScript writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
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
            timestamp: about.timestamp(),
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
    /// Written anew, since much is ISO 8601 (a zone's name, a comma) that not everybody reads.
    fn timestamp(&self) -> Option<String> {
        let time: Timestamp = self.occurred_at.as_deref()?.parse().ok()?;
        Some(format!("{time:.3}"))
    }

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
        if whole.len() <= MAX_MESSAGE_ID_BYTES {
            return Some(whole);
        }
        let hash = Sha256::digest(whole.as_bytes());
        Some(hash.iter().fold("ct:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }
}

/// The parts that are there, with a space between them.
fn joined<const N: usize>(parts: [Option<&str>; N]) -> Option<Cow<'_, str>> {
    let mut there = parts.into_iter().flatten();
    let first = there.next()?;
    Some(there.fold(Cow::Borrowed(first), |text, part| Cow::Owned(format!("{text} {part}"))))
}

#[cfg(test)]
mod tests {
    use super::super::read_customer;
    use super::*;
    use serde_json::{Value, json};

    /// The call as JSON; `null` for none.
    fn call(customer: &Value, user_id: UserId, about: &Value) -> Value {
        let (customer, about) = (customer.to_string(), about.to_string());
        let about: About<'_> = serde_json::from_str(&about).unwrap();
        read_customer(customer.as_bytes(), |customer| {
            serde_json::to_value(Identify::new(customer.unwrap(), user_id, &about)).unwrap()
        })
    }

    fn traits(mut customer: Value) -> Value {
        customer["email"] = json!("a@example.com");
        let mut traits = call(&customer, UserId::Email, &json!({}))["traits"].take();
        assert_eq!(traits.as_object_mut().unwrap().remove("email"), Some(json!("a@example.com")));
        traits
    }

    #[test]
    fn each_strategy_takes_its_own_field_and_trims_it() {
        let customer = json!({ "email": " e ", "id": "\ti", "customerNumber": "n\n", "externalId": "x" });
        for (user_id, expected) in UserId::ALL.into_iter().zip(["e", "i", "n", "x"]) {
            assert_eq!(call(&customer, user_id, &json!({}))["userId"], expected);
            assert_eq!(call(&json!({ "firstName": "Ann" }), user_id, &json!({})), Value::Null);
        }
        for blank in [" \t\u{a0}", "\u{200b}", " \u{feff}\u{2060} ", "\u{85}"] {
            assert_eq!(call(&json!({ "email": blank }), UserId::Email, &json!({})), Value::Null, "{blank:?}");
        }
    }

    #[test]
    fn a_name_is_the_full_name_or_what_there_is_of_its_parts() {
        for (customer, name) in [
            (json!({ "fullName": " Ann B. Lee ", "firstName": "X" }), Some("Ann B. Lee")),
            (json!({ "fullName": " ", "firstName": "Ann", "lastName": "Lee" }), Some("Ann Lee")),
            (json!({ "firstName": "Ann ", "middleName": "B.", "lastName": " Lee" }), Some("Ann B. Lee")),
            (json!({ "firstName": "Ann", "middleName": "\n" }), Some("Ann")),
            (json!({ "middleName": "B.", "lastName": "Lee" }), Some("B. Lee")),
            (json!({ "firstName": null, "lastName": 5 }), None),
            (json!({}), None),
        ] {
            assert_eq!(traits(customer.clone())["name"].as_str(), name, "{customer}");
        }
    }

    #[test]
    fn an_address_is_the_default_one_or_the_first() {
        let customer = |shipping: Value, billing: Value| {
            json!({
                "addresses": [5, { "id": "1", "city": "A" }, { "id": "2", "city": "B" }, { "id": "3", "city": "C" }],
                "defaultShippingAddressId": shipping,
                "defaultBillingAddressId": billing,
            })
        };
        for (shipping, billing, city) in [
            (json!("2"), json!("3"), "B"),
            (json!("9"), json!("3"), "C"),
            (json!(2), json!("3"), "C"),
            (json!("9"), json!("9"), "A"),
            (Value::Null, Value::Null, "A"),
        ] {
            assert_eq!(traits(customer(shipping, billing))["address"], json!({ "city": city }));
        }
        for none in
            [json!(null), json!([]), json!([{}]), json!([{ "id": "1", "city": " " }]), json!({ "city": "A" })]
        {
            assert_eq!(traits(json!({ "addresses": none.clone() })), json!({}), "{none}");
        }
    }

    #[test]
    fn streets_are_joined_and_regions_stand_in_for_states() {
        for (address, expected) in [
            (json!({ "streetName": " High St", "streetNumber": "5 " }), json!({ "street": "High St 5" })),
            (json!({ "streetNumber": "5" }), json!({ "street": "5" })),
            (json!({ "state": "NY", "region": "East" }), json!({ "state": "NY" })),
            (json!({ "state": " ", "region": "East" }), json!({ "state": "East" })),
            (json!({ "postalCode": "1", "country": "DE" }), json!({ "postalCode": "1", "country": "DE" })),
        ] {
            assert_eq!(traits(json!({ "addresses": [address] }))["address"], expected);
        }
    }

    #[test]
    fn message_ids_tell_notifications_apart_and_are_never_too_long() {
        let id = |about: Value| call(&json!({ "email": "e" }), UserId::Email, &about)["messageId"].take();
        assert_eq!(
            id(json!({ "projectKey": "shop", "id": "m1", "customerId": "c", "version": 3 })),
            "ct:shop:m1"
        );
        assert_eq!(id(json!({ "projectKey": "shop", "customerId": "c", "version": 3 })), "ct:shop:c:3");
        assert_eq!(id(json!({ "id": "m1" })), "ct::m1");
        for none in [json!({}), json!({ "id": " " }), json!({ "customerId": "c" }), json!({ "version": 3 })] {
            assert_eq!(id(none.clone()), Value::Null, "{none}");
        }
        let sized =
            |bytes: usize| id(json!({ "projectKey": "shop", "id": "x".repeat(bytes - "ct:shop:".len()) }));
        assert_eq!(sized(100).as_str().unwrap().len(), 100);
        let (long, longer) = (sized(101), sized(102));
        assert_eq!((long.as_str().unwrap().len(), &sized(101)), (67, &long));
        assert_ne!(long, longer);
        assert!(id(json!({ "id": "\u{1f600}".repeat(99) })).as_str().unwrap().len() <= MAX_MESSAGE_ID_BYTES);
    }

    #[test]
    fn timestamps_are_written_as_javascript_writes_them_or_left_out() {
        for (given, expected) in [
            (json!("2026-02-03T04:05:06.789Z"), json!("2026-02-03T04:05:06.789Z")),
            (json!("2026-02-03T04:05:06Z"), json!("2026-02-03T04:05:06.000Z")),
            (json!("2026-02-03T04:05:06.7899+02:00"), json!("2026-02-03T02:05:06.789Z")),
            (json!("2026-02-03 04:05+02:00[Europe/Berlin]"), json!("2026-02-03T02:05:00.000Z")),
            (json!("2026-02-30T04:05:06Z"), Value::Null),
            (json!("2026-02-03"), Value::Null),
            (json!("2026-02-03T04:05:06"), Value::Null),
            (json!("yesterday"), Value::Null),
            (json!(1_700_000_000), Value::Null),
        ] {
            let about = json!({ "occurredAt": given });
            assert_eq!(
                call(&json!({ "email": "e" }), UserId::Email, &about)["timestamp"],
                expected,
                "{about}"
            );
        }
    }
}
