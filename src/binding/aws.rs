//! AWS records as JavaScript hands them over: text in, text out.

use napi_derive::napi;

use crate::aws::unwrap;

/// The messages in a record or event of AWS, as a JSON array of `{ message, messageId?, topicArn?, .. }`.
#[napi]
pub fn unwrap_record(record: String) -> String {
    serde_json::to_string(&unwrap(&record)).unwrap_or_default()
}
