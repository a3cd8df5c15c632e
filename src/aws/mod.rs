//! What AWS wraps a message in, on its way through SNS, SQS and Lambda.
//!
//! Pure: text in, messages out. Forms: the record of an SNS event, the record of an SQS event around the envelope of SNS
//! or around a message of raw delivery, that envelope as SNS posts it over HTTP, and what Lambda leaves behind of a
//! function that failed: the whole event (dead-letter queue) or an account of it (destination). Whatever is none of
//! them is the message itself.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::lenient;

/// An SQS record around an event around an SNS record around an envelope: no way through AWS is longer.
const MAX_DEPTH: u32 = 4;

/// A message, and what SNS says of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "as SNS names them")]
pub struct Message {
    /// The text that was published.
    pub message: String,
    /// The id that SNS gave it: the same at every delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Where it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_arn: Option<String>,
    /// The publisher's word on what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was published, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Where the certificate is that its signature is checked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_cert_url: Option<String>,
    /// Where the subscription can be ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe_url: Option<String>,
}

/// Every member of any of the forms that is of use.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wrapping<'a> {
    /// A whole event.
    #[serde(borrow, deserialize_with = "lenient::list")]
    records: Option<Vec<Wrapping<'a>>>,
    /// Lambda's account of an invocation that failed: the event.
    #[serde(borrow, rename = "requestPayload", deserialize_with = "lenient::object")]
    request_payload: Option<Box<Wrapping<'a>>>,
    /// A record of SNS: the envelope.
    #[serde(borrow, deserialize_with = "lenient::object")]
    sns: Option<Box<Wrapping<'a>>>,
    /// A record of SQS.
    #[serde(borrow, rename = "body", deserialize_with = "lenient::text")]
    body: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "receiptHandle", deserialize_with = "lenient::text")]
    receipt_handle: Option<Cow<'a, str>>,
    /// The envelope of SNS. In Lambda's records names end in `Url`, over HTTP and in SQS in `URL`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    topic_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    signing_cert_url: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "SigningCertURL", deserialize_with = "lenient::text")]
    signing_cert_url_over_http: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    unsubscribe_url: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "UnsubscribeURL", deserialize_with = "lenient::text")]
    unsubscribe_url_over_http: Option<Cow<'a, str>>,
}

/// The messages in a record or event: more than one only where it holds a whole event, and always one at least.
#[must_use]
pub fn unwrap(text: &str) -> Vec<Message> {
    let mut found = Vec::new();
    collect(text, MAX_DEPTH, &mut found);
    found
}

fn collect(text: &str, depth: u32, found: &mut Vec<Message>) {
    let whole = lenient::with_whole_characters(Cow::Borrowed(text.as_bytes()));
    let before = found.len();
    if depth > 0
        && let Ok(wrapping) = serde_json::from_slice(&whole)
    {
        take_off(wrapping, depth, found);
    }
    if found.len() == before {
        found.push(Message { message: text.to_owned(), ..Message::default() });
    }
}

fn take_off(mut wrapping: Wrapping<'_>, depth: u32, found: &mut Vec<Message>) {
    if let Some(records) = wrapping.records {
        for record in records {
            take_off(record, depth, found);
        }
    } else if let Some(event) = wrapping.request_payload {
        take_off(*event, depth, found);
    } else if let Some(envelope) = wrapping.sns {
        found.push(envelope.opened());
    } else if let Some(body) = wrapping.body.take().filter(|_| wrapping.receipt_handle.is_some()) {
        collect(&body, depth - 1, found);
    } else if wrapping.message.is_some() && wrapping.topic_arn.is_some() {
        found.push(wrapping.opened());
    }
}

impl Wrapping<'_> {
    fn opened(self) -> Message {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        Message {
            message: owned(self.message).unwrap_or_default(),
            message_id: owned(self.message_id),
            topic_arn: owned(self.topic_arn),
            subject: owned(self.subject),
            timestamp: owned(self.timestamp),
            signing_cert_url: owned(self.signing_cert_url.or(self.signing_cert_url_over_http)),
            unsubscribe_url: owned(self.unsubscribe_url.or(self.unsubscribe_url_over_http)),
        }
    }
}
