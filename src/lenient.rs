//! Reading JSON of which nobody knows the shape: what is not as expected counts as absent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use memchr::memchr;
use memchr::memmem;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// An address of Commercetools has 30 bytes at least, so that none of its notifications holds more of them. An empty
/// object has two, but is kept in a hundred times as many.
const MAX_OBJECTS: usize = 10_000;

/// What a JSON value may be read as. Each kind says which values it takes.
trait Kind<'de>: Sized {
    fn from_text(_text: Cow<'de, str>) -> Option<Self> {
        None
    }

    fn from_number(_number: u64) -> Option<Self> {
        None
    }

    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Text that is not blank.
pub(crate) fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    read::<Text, D>(json).map(|text| text.map(|Text(text)| text).filter(|text| !is_blank(text)))
}

/// Whether there is nothing to see in it: neither white space counts nor what has no width. As `ts/blank.ts`.
pub(crate) fn is_blank(text: &str) -> bool {
    const WITHOUT_WIDTH: [char; 6] = ['\u{180e}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}'];
    text.chars().all(|character| character.is_whitespace() || WITHOUT_WIDTH.contains(&character))
}

/// A whole number that is not negative.
pub(crate) fn number<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    Ok(read::<Number, D>(json)?.map(|Number(number)| number))
}

/// An object with the members of `T`.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Box<T>>, D::Error> {
    Ok(read::<Object<T>, D>(json)?.map(|Object(object)| object))
}

/// The objects of a list; what else is in it is left out, and so is what comes after [`MAX_OBJECTS`].
pub(crate) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<T>>, D::Error> {
    Ok(read::<List<T>, D>(json)?.map(|List(list)| list))
}

/// An object, or text that holds one.
pub(crate) enum ObjectOrText<'de, T> {
    Object(Box<T>),
    Text(Cow<'de, str>),
}

pub(crate) fn object_or_text<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<ObjectOrText<'de, T>>, D::Error> {
    read(json)
}

/// A text that was cut inside a character ends with half of it, an escape such as `\ud83d` without its other half.
/// Parsers refuse everything around it, so it becomes U+FFFD, as in every UTF-8 encoder.
pub(crate) fn with_whole_characters(mut json: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    // Hardly any text has such escapes.
    let has_none = |start: &[u8; 3]| memmem::find(&json, start).is_none();
    if has_none(br"\ud") && has_none(br"\uD") {
        return json;
    }
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += found;
        at += match (unit(&json, at), unit(&json, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                if let Some(digits) = json.to_mut().get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                6
            }
            _ => 2,
        };
    }
    json
}

/// The UTF-16 unit that an escape stands for.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(br"\u")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

struct Text<'de>(Cow<'de, str>);

impl<'de> Kind<'de> for Text<'de> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }
}

struct Number(u64);

impl Kind<'_> for Number {
    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

struct Object<T>(Box<T>);

impl<'de, T: Deserialize<'de>> Kind<'de> for Object<T> {
    fn from_object<A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        let object = T::deserialize(MapAccessDeserializer::new(object))?;
        Ok(Some(Self(Box::new(object))))
    }
}

struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Kind<'de> for List<T> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut objects = Vec::new();
        while objects.len() < MAX_OBJECTS {
            let Some(element) = list.next_element::<Element<T>>()? else { return Ok(Some(Self(objects))) };
            objects.extend(element.0.map(|object| *object));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Self(objects)))
    }
}

/// One element of a list.
struct Element<T>(Option<Box<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        object(json).map(Self)
    }
}

impl<'de, T: Deserialize<'de>> Kind<'de> for ObjectOrText<'de, T> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self::Text(text))
    }

    fn from_object<A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        Ok(Object::from_object(object)?.map(|Object(object)| Self::Object(object)))
    }
}

fn read<'de, K: Kind<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<K>, D::Error> {
    json.deserialize_any(KindVisitor(PhantomData))
}

struct KindVisitor<K>(PhantomData<K>);

impl<'de, K: Kind<'de>> Visitor<'de> for KindVisitor<K> {
    type Value = Option<K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(K::from_number(number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(K::from_text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(K::from_text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        K::from_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        K::from_object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::fmt::Write as _;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Everything<'a> {
        #[serde(borrow, deserialize_with = "text")]
        text: Option<Cow<'a, str>>,
        #[serde(deserialize_with = "number")]
        number: Option<u64>,
        #[serde(borrow, deserialize_with = "object")]
        object: Option<Box<Everything<'a>>>,
        #[serde(borrow, deserialize_with = "list")]
        list: Option<Vec<Everything<'a>>>,
    }

    fn everything(json: &str) -> Everything<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn mended(json: &str) -> String {
        String::from_utf8(with_whole_characters(Cow::Borrowed(json.as_bytes())).into_owned()).unwrap()
    }

    #[test]
    fn each_kind_takes_its_own_values_and_no_others() {
        let values =
            ["null", "true", "-1", "1.5", "1e300", "\"\"", "\" \\t\"", "\"a\"", "7", "[]", "[{}]", "{}"];
        let taken = |name: &str, is_there: fn(&Everything<'_>) -> bool| {
            let is_taken = |value: &&&str| is_there(&everything(&format!(r#"{{"{name}":{value}}}"#)));
            values.iter().filter(is_taken).copied().collect::<Vec<_>>()
        };
        assert_eq!(taken("text", |it| it.text.is_some()), ["\"a\""]);
        assert_eq!(taken("number", |it| it.number.is_some()), ["7"]);
        assert_eq!(taken("object", |it| it.object.is_some()), ["{}"]);
        assert_eq!(taken("list", |it| it.list.is_some()), ["[]", "[{}]"]);
    }

    #[test]
    fn what_follows_a_wrong_value_is_read() {
        for wrong in [r#"{"a":[{"b":"c"}]}"#, r#"[[["x"]],{"a":1}]"#, "1e300", "false", "null", "-7"] {
            let json = format!(r#"{{"text":{wrong},"list":[{wrong},{{"text":"a"}}],"number":7}}"#);
            let read = everything(&json);
            // An object in the list is an object, whatever its members.
            let texts: Vec<_> =
                read.list.iter().flatten().filter_map(|element| element.text.as_deref()).collect();
            assert_eq!((read.text, texts, read.number), (None, vec!["a"], Some(7)), "{wrong}");
        }
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        assert!(matches!(everything(r#"{"text":"a"}"#).text, Some(Cow::Borrowed("a"))));
        assert_eq!(everything(r#"{"text":"\u0061\n"}"#).text.as_deref(), Some("a\n"));
    }

    #[test]
    fn no_list_is_kept_beyond_its_limit() {
        let list = |count: usize| format!(r#"{{"list":[{}{{}}],"number":7}}"#, "{},".repeat(count - 1));
        for (count, kept) in
            [(MAX_OBJECTS - 1, MAX_OBJECTS - 1), (MAX_OBJECTS, MAX_OBJECTS), (99_999, MAX_OBJECTS)]
        {
            let json = list(count);
            let read = everything(&json);
            assert_eq!((read.list.unwrap().len(), read.number), (kept, Some(7)), "{count}");
        }
    }

    #[test]
    fn half_a_character_becomes_a_replacement_character() {
        for (given, expected) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uD83Dx\udE00""#, r#""\ufffdx\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud83d\\\ud83d""#, r#""\\ud83d\\\ufffd""#),
            (r#""\ud7ff\ue000""#, r#""\ud7ff\ue000""#),
            (r#""\ud83""#, r#""\ud83""#),
            (r"\ud", r"\ud"),
            (r"\ud83d\", r"\ufffd\"),
        ] {
            assert_eq!(mended(given), expected, "{given}");
        }
    }

    #[test]
    fn texts_without_half_characters_are_not_copied() {
        for json in [r#""\u00e4\n""#, r#""\ud83d\ude00""#, ""] {
            assert!(
                matches!(with_whole_characters(Cow::Borrowed(json.as_bytes())), Cow::Borrowed(_)),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_units_of_utf_16_are_read_as_everybody_reads_them(units in proptest::collection::vec(
            prop_oneof![any::<u16>(), 0xd7f0_u16..0xe010, Just(0x5c)], 0..20)
        ) {
            let escapes = units.iter().fold(String::new(), |mut text, unit| {
                write!(text, "\\u{unit:04x}").unwrap();
                text
            });
            let json = mended(&format!("\"{escapes}\""));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), String::from_utf16_lossy(&units));
        }

        #[test]
        fn mending_changes_no_length_and_nothing_twice(bytes in r#"(\\|u|d|D|8|c|E|0|"|x){0,40}"#) {
            let once = mended(&bytes);
            prop_assert_eq!(once.len(), bytes.len());
            prop_assert_eq!(mended(&once), once);
        }
    }
}
