//! Reading JSON of which nobody knows the shape: what is not as expected counts as absent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
pub(super) fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    read::<Text, D>(json).map(|text| text.map(|Text(text)| text).filter(|text| !text.trim().is_empty()))
}

/// A whole number that is not negative.
pub(super) fn number<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    Ok(read::<Number, D>(json)?.map(|Number(number)| number))
}

/// An object with the members of `T`.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Box<T>>, D::Error> {
    Ok(read::<Object<T>, D>(json)?.map(|Object(object)| object))
}

/// The objects of a list; what else is in it is left out.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<T>>, D::Error> {
    Ok(read::<List<T>, D>(json)?.map(|List(list)| list))
}

/// An object, or text that holds one.
pub(super) enum ObjectOrText<'de, T> {
    Object(Box<T>),
    Text(Cow<'de, str>),
}

pub(super) fn object_or_text<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<ObjectOrText<'de, T>>, D::Error> {
    read(json)
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
        while let Some(element) = list.next_element::<Element<T>>()? {
            objects.extend(element.0.map(|object| *object));
        }
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
