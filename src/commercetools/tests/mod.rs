//! Raw notifications against what they have to be read as.

mod properties;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Identify, Parsed, UserId, read, read_customer};

/// The verdict with its reason, the customer, the facts, and the calls by strategy.
#[derive(Debug, Default, PartialEq)]
struct Read {
    verdict: String,
    customer: Value,
    about: Value,
    calls: Vec<Value>,
}

fn read_all(raw: &[u8]) -> Read {
    fn value(of: &impl Serialize) -> Value {
        serde_json::to_value(of).unwrap()
    }
    read(raw, |parsed| match parsed {
        Parsed::Identify(customer, about) => Read {
            verdict: "identify".to_owned(),
            customer: value(customer),
            about: value(about),
            calls: UserId::ALL.iter().map(|id| value(&Identify::new(customer, *id, about))).collect(),
        },
        Parsed::Ignore(reason, about) => {
            Read { verdict: format!("ignore {reason}"), about: value(about), ..Read::default() }
        }
        Parsed::NeedsFetch(reason, about) => {
            Read { verdict: format!("needs-fetch {reason}"), about: value(about), ..Read::default() }
        }
        Parsed::Invalid(reason) => Read { verdict: format!("invalid {reason}"), ..Read::default() },
    })
}

fn verdict(notification: &Value) -> String {
    read_all(notification.to_string().as_bytes()).verdict
}

/// `base` with other members; `null` takes one away.
fn with(mut base: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members are an object") };
    for (name, value) in members {
        base[name] = value;
    }
    base
}

fn message(kind: &str) -> Value {
    json!({
        "notificationType": "Message", "type": kind, "id": "m1", "version": 1, "projectKey": "shop",
        "resource": { "typeId": "customer", "id": "c1" }, "resourceVersion": 4,
        "createdAt": "2026-02-03T04:05:06.789Z",
    })
}

fn change(kind: &str) -> Value {
    json!({
        "notificationType": kind, "projectKey": "shop", "resource": { "typeId": "customer", "id": "c1" },
        "version": 5, "oldVersion": 4, "modifiedAt": "2026-02-03T04:05:06.789Z",
    })
}

fn event(kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": "e1", "type": kind, "source": "/shop/customers", "subject": "c1",
        "time": "2026-02-03T04:05:07.000Z", "data": data,
    })
}

fn sns(message: &str) -> Value {
    json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": message })
}

const ABOUT_MESSAGE: &str = r#"{"type":"CustomerCreated","id":"m1","projectKey":"shop","customerId":"c1","version":4,
    "occurredAt":"2026-02-03T04:05:06.789Z"}"#;

#[test]
fn messages_are_told_apart_by_their_types() {
    for (kind, expected) in [
        ("CustomerCreated", "invalid missing-customer"),
        ("CustomerEmailChanged", "needs-fetch partial-message"),
        // "If the shipping address is the default shipping address, the defaultShippingAddressId is unset."
        ("CustomerShippingAddressRemoved", "needs-fetch partial-message"),
        ("CustomerDeleted", "ignore deleted"),
        ("CustomerStoresSet", "ignore unsupported-type"),
        ("CustomerOfTheFuture", "ignore unsupported-type"),
        ("CustomerPasswordTokenCreated", "ignore token"),
        ("OrderCreated", "ignore other-resource"),
        (" ", "invalid not-a-notification"),
    ] {
        assert_eq!(verdict(&message(kind)), expected, "{kind}");
    }
}

#[test]
fn a_whole_customer_is_read_with_the_facts_of_its_message() {
    let raw = with(
        message("CustomerCreated"),
        json!({ "customer": { "id": "c1", "email": "a@b.c", "vatId": "v" } }),
    );
    let found = read_all(raw.to_string().as_bytes());
    assert_eq!(found.verdict, "identify");
    assert_eq!(found.customer, json!({ "id": "c1", "email": "a@b.c" }));
    assert_eq!(found.about, serde_json::from_str::<Value>(ABOUT_MESSAGE).unwrap());
    assert_eq!(found.calls[0]["messageId"], "ct:shop:m1");
    assert_eq!(found.calls[0]["timestamp"], "2026-02-03T04:05:06.789Z");
    assert_eq!(verdict(&json!({ "type": "CustomerUpdated", "customer": {} })), "identify");
}

#[test]
fn facts_are_of_customers_only() {
    let order = with(message("OrderCreated"), json!({ "resource": { "typeId": "order", "id": "o1" } }));
    let token = json!({
        "resource": { "typeId": "customer-password-token", "id": "t1" }, "customerId": "c1", "value": "secret",
    });
    let token = with(message("CustomerPasswordTokenCreated"), token);
    let group =
        with(message("CustomerGroupCustomFieldAdded"), json!({ "resource": { "typeId": "customer-group" } }));
    for (raw, expected) in
        [(order, "ignore other-resource"), (token, "ignore token"), (group, "ignore other-resource")]
    {
        let found = read_all(raw.to_string().as_bytes());
        let facts =
            json!({ "type": raw["type"], "id": "m1", "projectKey": "shop", "occurredAt": raw["createdAt"] });
        assert_eq!((found.verdict.as_str(), found.about), (expected, facts));
    }
}

#[test]
fn the_type_of_what_was_left_out_counts_and_not_the_other() {
    let left_out = |kind: &str| json!({ "payloadNotIncluded": { "reason": "size", "payloadType": kind } });
    for (kind, expected) in [
        ("CustomerCreated", "needs-fetch payload-not-included"),
        ("CustomerDeleted", "ignore deleted"),
        ("CustomerEmailTokenCreated", "ignore token"),
        ("CustomerStoresSet", "ignore unsupported-type"),
    ] {
        let raw = with(message("CustomerAddressAdded"), left_out(kind));
        assert_eq!(verdict(&raw), expected, "{kind}");
        let event = event(&format!("com.commercetools.customer.message.{kind}"), &Value::Null);
        assert_eq!(verdict(&event), expected, "{event}");
    }
    let nobody = with(message("CustomerCreated"), left_out("CustomerCreated"));
    assert_eq!(verdict(&with(nobody, json!({ "resource": null }))), "invalid missing-customer-id");
}

#[test]
fn changes_are_of_customers_or_ignored() {
    let of = |entity: &str| json!({ "resource": { "typeId": entity, "id": "r1" } });
    for (raw, expected) in [
        (change("ResourceCreated"), "needs-fetch resource-changed"),
        (change("ResourceUpdated"), "needs-fetch resource-changed"),
        (change("ResourceDeleted"), "ignore deleted"),
        (with(change("ResourceCreated"), of("subscription")), "ignore subscription-test"),
        (with(change("ResourceUpdated"), of("subscription")), "ignore other-resource"),
        (with(change("ResourceUpdated"), of("customer-email-token")), "ignore other-resource"),
        (
            with(change("ResourceUpdated"), json!({ "resource": { "typeId": "customer" } })),
            "invalid missing-customer-id",
        ),
        (with(change("ResourceUpdated"), json!({ "resource": null })), "invalid not-a-notification"),
        (change("Event"), "ignore unsupported-type"),
        (change("Other"), "invalid not-a-notification"),
    ] {
        assert_eq!(verdict(&raw), expected, "{raw}");
        let kind = format!("com.commercetools.x.change.{}", raw["notificationType"].as_str().unwrap());
        assert_eq!(verdict(&event(&kind, &raw)), expected);
    }
    let about = read_all(change("ResourceUpdated").to_string().as_bytes()).about;
    assert_eq!((&about["type"], &about["version"]), (&json!("ResourceUpdated"), &json!(5)));
}

#[test]
fn an_event_without_data_says_what_it_can() {
    let found = read_all(
        event("com.commercetools.customer.change.ResourceUpdated", &json!(5)).to_string().as_bytes(),
    );
    assert_eq!(found.verdict, "needs-fetch resource-changed");
    let facts = json!({ "type": "ResourceUpdated", "id": "e1", "projectKey": "shop", "customerId": "c1",
        "occurredAt": "2026-02-03T04:05:07.000Z" });
    assert_eq!(found.about, facts);
    for source in [json!(null), json!("shop/customers"), json!("/"), json!("https://x.test/shop"), json!(5)] {
        let raw = with(
            event("com.commercetools.customer.change.ResourceUpdated", &Value::Null),
            json!({ "source": source }),
        );
        assert_eq!(read_all(raw.to_string().as_bytes()).about.get("projectKey"), None, "{raw}");
    }
    assert_eq!(verdict(&event("other", &Value::Null)), "ignore other-resource");
}

#[test]
fn envelopes_are_opened_so_many_times_and_no_more() {
    let inner = with(message("CustomerCreated"), json!({ "customer": { "email": "a@b.c" } }));
    let wraps: [fn(String) -> String; 3] = [
        |text| json!(text).to_string(),
        |text| sns(&text).to_string(),
        |text| event("com.commercetools.customer.message.CustomerCreated", &json!(text)).to_string(),
    ];
    for wrap in wraps {
        let mut raw = inner.to_string();
        for _ in 0..3 {
            raw = wrap(raw);
            assert_eq!(read_all(raw.as_bytes()).verdict, "identify", "{raw}");
        }
        assert_eq!(read_all(wrap(raw).as_bytes()).verdict, "invalid too-many-envelopes");
    }
    let no_topic = with(sns(&inner.to_string()), json!({ "TopicArn": null }));
    assert_eq!(verdict(&no_topic), "invalid not-a-notification");
}

#[test]
fn what_is_too_large_is_not_read() {
    let json = json!({ "type": "CustomerCreated", "customer": {} }).to_string();
    let padded = |bytes: usize| format!("{json}{}", " ".repeat(bytes - json.len()));
    assert_eq!(read_all(padded(1_048_576).as_bytes()).verdict, "identify");
    assert_eq!(read_all(padded(1_048_577).as_bytes()).verdict, "invalid too-large");
    assert_eq!(read_all(&vec![b'x'; 1_048_577]).verdict, "invalid too-large");
}

/// Time and memory depend on the size alone: what is passed over is not recursed into, what is recursed into is not
/// deep, and no envelope is larger than the one around it.
#[test]
fn depth_costs_nothing() {
    let deep =
        |open: &str, close: &str, levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
    for (member, open, close) in
        [("custom", "[", "]"), ("custom", r#"{"a":["#, "]}"), ("firstName", "[", "]")]
    {
        let inner = deep(open, close, 100_000);
        let raw =
            format!(r#"{{"type":"CustomerCreated","customer":{{"email":"a@b.c","{member}":{inner}}}}}"#);
        assert_eq!(read_all(raw.as_bytes()).customer, json!({ "email": "a@b.c" }), "{member}");
    }
    for levels in [200, 50_000] {
        let data = format!("{}1{}", r#"{"data":"#.repeat(levels), "}".repeat(levels));
        assert_eq!(read_all(data.as_bytes()).verdict, "invalid not-json");
    }
    assert_eq!(read_all("[".repeat(500_000).as_bytes()).verdict, "invalid not-json");
}

/// JavaScript's threads have stacks of their own size, and serde recurses.
#[test]
fn a_small_stack_is_enough() {
    let data = format!("{}{{}}{}", r#"{"data":"#.repeat(120), "}".repeat(120));
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let found = small.spawn(move || read_all(data.as_bytes()).verdict).unwrap().join().unwrap();
    assert_eq!(found, "invalid not-a-notification");
}

#[test]
fn half_a_character_costs_no_notification() {
    let raw = r#"{"type":"CustomerCreated","customer":{"email":"a@b.c","firstName":"\ud83d"}}"#;
    let kept = json!({ "email": "a@b.c", "firstName": "\u{fffd}" });
    assert_eq!(read_all(raw.as_bytes()).customer, kept);
    assert_eq!(read_all(sns(raw).to_string().as_bytes()).customer, kept);
}

#[test]
fn what_is_no_notification_is_invalid() {
    for (raw, expected) in [
        ("", "empty"),
        (" \n", "empty"),
        ("{", "not-json"),
        ("{} {}", "not-json"),
        ("\u{feff}{}", "not-json"),
        ("{\"type\":\"a\",\"type\":\"b\"}", "not-json"),
        ("null", "not-an-object"),
        ("5", "not-an-object"),
        ("[{}]", "not-an-object"),
        ("\"\"", "empty"),
        ("\"5\"", "not-an-object"),
        ("{}", "not-a-notification"),
        (r#"{"customer":{"email":"a@b.c"}}"#, "not-a-notification"),
    ] {
        assert_eq!(read_all(raw.as_bytes()).verdict, format!("invalid {expected}"), "{raw}");
    }
    assert_eq!(read_all(b"{\"type\":\"\xff\"}").verdict, "invalid not-json");
}

#[test]
fn a_customer_of_its_own_is_an_object() {
    let email = |json: &str| {
        read_customer(json.as_bytes(), |found| {
            found.map(|customer| customer.email.as_deref().map(str::to_owned))
        })
    };
    assert_eq!(email(r#"{"email":"a@b.c"}"#), Some(Some("a@b.c".to_owned())));
    assert_eq!(email(r#"{"email":"\ud83d"}"#), Some(Some("\u{fffd}".to_owned())));
    assert_eq!(email("{}"), Some(None));
    for none in ["", "null", "5", r#""{}""#, r#"["c1","a@b.c"]"#, "{"] {
        assert_eq!(email(none), None, "{none}");
    }
}
