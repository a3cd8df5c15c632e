//! What is read of a customer. Everything else (passwords, tokens, VAT ids, custom fields) is passed over.
//!
//! Fields: Commercetools HTTP API, `Customer` and `BaseAddress`; `fullName` is of the simplified payload of story 19.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::lenient;

type Text<'a> = Option<Cow<'a, str>>;

/// A customer. Blank texts count as absent.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "named and documented by Commercetools")]
#[allow(clippy::struct_field_names, reason = "as Commercetools names them")]
pub struct Customer<'a> {
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub id: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub email: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub first_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub middle_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub last_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub full_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub company_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub date_of_birth: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub locale: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub customer_number: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub external_id: Text<'a>,
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub created_at: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub last_modified_at: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::list", skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<Address<'a>>>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub default_shipping_address_id: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub default_billing_address_id: Text<'a>,
}

/// An address. Blank texts count as absent.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "named and documented by Commercetools")]
pub struct Address<'a> {
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub id: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub street_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub street_number: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub city: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub region: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub state: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub postal_code: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub country: Text<'a>,
}

/// Reads a customer that is in no notification and gives it to `then`; `None` for what is no object.
pub fn read_customer<R>(json: &[u8], then: impl FnOnce(Option<&Customer<'_>>) -> R) -> R {
    let json = lenient::with_whole_characters(Cow::Borrowed(json));
    let mut json = serde_json::Deserializer::from_slice(&json);
    let customer: Option<Box<Customer<'_>>> = lenient::object(&mut json).ok().flatten();
    then(customer.as_deref())
}

impl<'a> Customer<'a> {
    /// The address that stands for the customer: default shipping, default billing, or the first.
    #[must_use]
    pub fn main_address(&self) -> Option<&Address<'a>> {
        let addresses = self.addresses.as_deref()?;
        let with_id = |id: &Text<'a>| {
            let id = id.as_deref()?;
            addresses.iter().find(|address| address.id.as_deref() == Some(id))
        };
        with_id(&self.default_shipping_address_id)
            .or_else(|| with_id(&self.default_billing_address_id))
            .or_else(|| addresses.first())
    }
}
