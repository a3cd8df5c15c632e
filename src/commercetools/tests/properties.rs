//! Whatever is read, reading it ends, keeps little, and invents nothing.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{change, event, message, read_all, sns, with};
use crate::lenient::is_blank;

const NAMES: [&str; 30] = [
    "notificationType",
    "type",
    "id",
    "projectKey",
    "resource",
    "typeId",
    "resourceVersion",
    "version",
    "createdAt",
    "modifiedAt",
    "payloadNotIncluded",
    "payloadType",
    "customer",
    "data",
    "specversion",
    "source",
    "subject",
    "time",
    "Message",
    "TopicArn",
    "email",
    "firstName",
    "lastName",
    "fullName",
    "addresses",
    "streetName",
    "city",
    "custom",
    "password",
    "value",
];
const TEXTS: [&str; 12] = [
    "Message",
    "ResourceCreated",
    "ResourceUpdated",
    "ResourceDeleted",
    "Event",
    "customer",
    "subscription",
    "CustomerCreated",
    "CustomerEmailChanged",
    "CustomerEmailTokenCreated",
    "2026-02-03T04:05:06.789Z",
    "1.0",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        3 => select(&TEXTS[..]).prop_map(Value::from),
        2 => "\\PC{0,12}|[ \t\n]{0,3}".prop_map(Value::from),
    ]
}

/// Anything, often with the names and texts of notifications; at times as text in an envelope.
fn notification() -> impl Strategy<Value = Value> {
    let name = prop_oneof![4 => select(&NAMES[..]).prop_map(str::to_owned), 1 => ".{0,6}"];
    let tree = leaf().prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => btree_map(name.clone(), inner, 0..8).prop_map(|members| members.into_iter().collect()),
        ]
    });
    (tree, 0..7_u8).prop_map(|(tree, envelope)| match envelope {
        0 => Value::from(tree.to_string()),
        1 => sns(&tree.to_string()),
        2 => event("com.commercetools.customer.message.CustomerCreated", &tree),
        3 => with(message("CustomerCreated"), json!({ "customer": tree })),
        4 if tree.is_object() => with(message("CustomerCreated"), tree),
        5 if tree.is_object() => with(change("ResourceUpdated"), tree),
        _ => tree,
    })
}

fn customer() -> impl Strategy<Value = Value> {
    let fields = [
        "id",
        "email",
        "firstName",
        "middleName",
        "lastName",
        "fullName",
        "password",
        "vatId",
        "title",
        "key",
        "defaultShippingAddressId",
        "defaultBillingAddressId",
    ];
    let address = btree_map(
        select(vec![
            "id",
            "streetName",
            "streetNumber",
            "city",
            "state",
            "region",
            "postalCode",
            "country",
            "phone",
        ]),
        prop_oneof![4 => "[ab ]{0,3}".prop_map(Value::from), 1 => leaf()],
        0..8,
    );
    let text = prop_oneof![6 => "[abc \u{e4}\u{1f600}\"\\\\]{0,6}".prop_map(Value::from), 1 => leaf()];
    (btree_map(select(fields.to_vec()), text, 0..10), vec(address, 0..4)).prop_map(|(members, addresses)| {
        let members: Value = members.into_iter().collect();
        let addresses: Vec<Value> =
            addresses.into_iter().map(|address| address.into_iter().collect()).collect();
        with(members, json!({ "addresses": addresses }))
    })
}

/// What the texts of these members come to.
fn joined(of: &Value, members: &[&str]) -> Option<String> {
    let texts =
        members.iter().filter_map(|name| of[*name].as_str().map(str::trim).filter(|text| !is_blank(text)));
    Some(texts.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
}

fn expected_traits(customer: &Value) -> Value {
    let there = |members: Vec<(&str, Option<String>)>| -> Value {
        members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?)))).collect()
    };
    let addresses = customer["addresses"].as_array().unwrap();
    let with_id = |name: &str| {
        let id = customer[name].as_str().filter(|id| !is_blank(id))?;
        addresses.iter().find(|address| address["id"] == id)
    };
    let main = with_id("defaultShippingAddressId").or_else(|| with_id("defaultBillingAddressId"));
    let address = main.or(addresses.first()).map_or(json!({}), |main| {
        there(vec![
            ("street", joined(main, &["streetName", "streetNumber"])),
            ("city", joined(main, &["city"])),
            ("state", joined(main, &["state"]).or_else(|| joined(main, &["region"]))),
            ("postalCode", joined(main, &["postalCode"])),
            ("country", joined(main, &["country"])),
        ])
    });
    let name = joined(customer, &["fullName"]);
    let mut traits = there(vec![
        ("email", joined(customer, &["email"])),
        ("firstName", joined(customer, &["firstName"])),
        ("lastName", joined(customer, &["lastName"])),
        ("name", name.or_else(|| joined(customer, &["firstName", "middleName", "lastName"]))),
    ]);
    if address != json!({}) {
        traits["address"] = address;
    }
    traits
}

fn assert_bounded(raw: &[u8]) -> Result<(), TestCaseError> {
    let found = read_all(raw);
    let kept = found.customer.to_string().len() + found.about.to_string().len();
    prop_assert!(kept <= 2 * raw.len() + 200, "{kept} of {}", raw.len());
    for call in found.calls.iter().filter(|call| !call.is_null()) {
        prop_assert!(call.to_string().len() <= 3 * raw.len() + 300);
        prop_assert!(!is_blank(call["userId"].as_str().unwrap()));
        prop_assert!(call["messageId"].as_str().unwrap_or_default().len() <= 100);
    }
    prop_assert_eq!(read_all(raw), found);
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(raw in vec(any::<u8>(), 0..600)) {
        assert_bounded(&raw)?;
    }

    #[test]
    fn any_json_is_read_to_an_end(notification in notification()) {
        assert_bounded(notification.to_string().as_bytes())?;
    }

    #[test]
    fn a_notification_that_is_cut_or_damaged_is_read_to_an_end(
        notification in notification(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut raw = notification.to_string().into_bytes();
        let at = at.index(raw.len());
        assert_bounded(&raw[..at])?;
        raw[at] = byte;
        assert_bounded(&raw)?;
    }

    #[test]
    fn traits_hold_the_customers_own_texts_and_nothing_else(customer in customer()) {
        let raw = with(message("CustomerCreated"), json!({ "customer": customer })).to_string();
        let call = read_all(raw.as_bytes()).calls[0].take();
        let user_id = joined(&customer, &["email"]);
        let traits = expected_traits(&customer);
        prop_assert_eq!(call["userId"].as_str(), user_id.as_deref());
        prop_assert_eq!(&call["traits"], if user_id.is_some() { &traits } else { &Value::Null });
    }
}
