use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Message, unwrap};

const TEXT: &str = r#"{"type":"CustomerCreated"}"#;

fn envelope(suffix: &str) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "id-1",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:topic",
        "Subject": "subject",
        "Message": TEXT,
        "Timestamp": "2026-01-01T00:00:00.000Z",
        format!("SigningCert{suffix}"): "https://sns.eu-central-1.amazonaws.com/a.pem",
        format!("Unsubscribe{suffix}"): "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    })
}

fn opened() -> Message {
    let owned = |text: &str| Some(text.to_owned());
    Message {
        message: TEXT.to_owned(),
        message_id: owned("id-1"),
        topic_arn: owned("arn:aws:sns:eu-central-1:123456789012:topic"),
        subject: owned("subject"),
        timestamp: owned("2026-01-01T00:00:00.000Z"),
        signing_cert_url: owned("https://sns.eu-central-1.amazonaws.com/a.pem"),
        unsubscribe_url: owned("https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe"),
    }
}

fn raw(text: &str) -> Message {
    Message { message: text.to_owned(), ..Message::default() }
}

fn sns_record(suffix: &str) -> Value {
    json!({ "EventSource": "aws:sns", "EventVersion": "1.0", "Sns": envelope(suffix) })
}

fn sqs_record(body: &str) -> Value {
    json!({ "messageId": "sqs-1", "receiptHandle": "handle", "body": body, "eventSource": "aws:sqs" })
}

#[test]
fn every_form_holds_the_message() {
    for suffix in ["Url", "URL"] {
        let event = json!({ "Records": [sns_record(suffix)] });
        let account =
            json!({ "version": "1.0", "requestPayload": event, "responsePayload": { "errorType": "Error" } });
        let in_queue = |body: &Value| sqs_record(&body.to_string());
        for form in [
            envelope(suffix),
            sns_record(suffix),
            event.clone(),
            account.clone(),
            in_queue(&envelope(suffix)),
            in_queue(&event),
            in_queue(&account),
            json!({ "Records": [in_queue(&event)] }),
        ] {
            assert_eq!(unwrap(&form.to_string()), [opened()], "{form}");
        }
    }
}

#[test]
fn a_message_of_raw_delivery_is_what_is_in_the_record() {
    assert_eq!(unwrap(&sqs_record(TEXT).to_string()), [raw(TEXT)]);
    assert_eq!(unwrap(&sqs_record("no json").to_string()), [raw("no json")]);
    assert_eq!(unwrap(TEXT), [raw(TEXT)]);
}

#[test]
fn an_event_in_a_queue_keeps_all_its_messages() {
    let event = json!({ "Records": [sns_record("Url"), sns_record("URL")] });
    assert_eq!(unwrap(&sqs_record(&event.to_string()).to_string()), [opened(), opened()]);
}

#[test]
fn what_is_no_record_is_handed_on_as_it_is() {
    for text in [
        "",
        "null",
        "5",
        "[]",
        "{}",
        r#"{"Records":[]}"#,
        r#"{"Records":[5]}"#,
        r#"{"body":"x"}"#,
        r#"{"Sns":5}"#,
    ] {
        assert_eq!(unwrap(text), [raw(text)]);
    }
}

#[test]
fn a_record_of_sns_without_a_message_holds_an_empty_one() {
    assert_eq!(unwrap(r#"{"Sns":{"MessageId":"id-1"}}"#)[0].message, "");
}

#[test]
fn half_a_character_harms_nobody() {
    let record = r#"{"Sns":{"Message":"a\ud83d"},"other":"\ud83d"}"#;
    assert_eq!(unwrap(record)[0].message, "a\u{fffd}");
}

#[test]
fn records_in_records_come_to_an_end() {
    let nested = |innermost: &str, times| {
        (0..times).fold(innermost.to_owned(), |body, _| sqs_record(&body).to_string())
    };
    assert_eq!(unwrap(&nested(TEXT, 3)), [raw(TEXT)]);
    assert_eq!(unwrap(&nested(TEXT, 5)), [raw(&nested(TEXT, 1))]);
    let deep = "[".repeat(100_000);
    assert_eq!(unwrap(&deep), [raw(&deep)]);
    let records = r#"{"Records":["#.repeat(10_000);
    assert_eq!(unwrap(&records), [raw(&records)]);
}

proptest! {
    #[test]
    fn any_text_comes_out_of_any_wrapping(text in "\\PC{1,200}") {
        prop_assume!(serde_json::from_str::<Value>(&text).is_err() && !text.trim().is_empty());
        let mut envelope = envelope("URL");
        envelope["Message"] = json!(text);
        let event = json!({ "Records": [{ "Sns": envelope }] });
        for form in [envelope.clone(), event.clone(), sqs_record(&envelope.to_string()), sqs_record(&event.to_string())] {
            prop_assert_eq!(&unwrap(&form.to_string())[0].message, &text);
        }
    }

    #[test]
    fn there_is_always_something(text in ".*") {
        prop_assert!(!unwrap(&text).is_empty());
    }
}
