//! One flat object as one line of JSON with sorted keys, without a tree of values in between: a
//! leaf is written beside every call. Only what a leaf needs: structs and maps at the top, whose
//! values serde_json writes in their own order, which is why the fields of what stands inside a
//! leaf are declared in order. Debug builds compare every line with the tree's.

use std::ops::Range;

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStruct, Serializer};
use serde_json::Error;

/// What most leaves fit in: memory taken once, not as it grows.
const LINE_BYTES: usize = 1000;
const FIELDS: usize = 32;
/// For whoever puts a number in afterwards.
const NUMBER_BYTES: usize = u64::MAX.ilog10() as usize + 1;

/// Writes `object` with sorted keys; also says where in it the value of `key` stands, if it does.
///
/// # Errors
/// It is no struct or map, or one of its keys is no text.
pub(super) fn to_vec<T: Serialize>(
    object: &T,
    key: &str,
) -> Result<(Vec<u8>, Option<Range<usize>>), Error> {
    let mut fields = Fields::with_room();
    object.serialize(Top(&mut fields))?;
    let (line, place) = fields.line(key.as_bytes());
    debug_assert_eq!(
        serde_json::to_value(object)
            .and_then(|tree| serde_json::to_vec(&tree))
            .ok()
            .as_ref(),
        Some(&line),
        "declare the fields of what stands in a leaf in order"
    );
    Ok((line, place))
}

/// What was written so far: `"key":value`, each with its place and the length of its key.
struct Fields {
    text: Vec<u8>,
    places: Vec<(Range<usize>, usize)>,
}

impl Fields {
    /// With room for most leaves.
    fn with_room() -> Self {
        Self {
            text: Vec::with_capacity(LINE_BYTES),
            places: Vec::with_capacity(FIELDS),
        }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let from = self.text.len();
        serde_json::to_writer(&mut self.text, key)?;
        if self.text.get(from) != Some(&b'"') {
            return Err(Error::custom("a key is a text"));
        }
        self.places.push((from..from, self.text.len() - from));
        self.text.push(b':');
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        serde_json::to_writer(&mut self.text, value)?;
        if let Some((place, _)) = self.places.last_mut() {
            place.end = self.text.len();
        }
        Ok(())
    }

    fn line(mut self, wanted: &[u8]) -> (Vec<u8>, Option<Range<usize>>) {
        let text = &self.text;
        // Without the quotes, which are less than some letters are.
        let key = |(place, bytes): &(Range<usize>, usize)| {
            &text[place.start + 1..place.start + bytes - 1]
        };
        self.places.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        let mut line = Vec::with_capacity(text.len() + self.places.len() + 2 + NUMBER_BYTES);
        let mut found = None;
        line.push(b'{');
        for (n, field) in self.places.iter().enumerate() {
            if n > 0 {
                line.push(b',');
            }
            let from = line.len() + field.1 + 1;
            line.extend_from_slice(&text[field.0.clone()]);
            if key(field) == wanted {
                found = Some(from..line.len());
            }
        }
        line.push(b'}');
        (line, found)
    }
}

struct Top<'a>(&'a mut Fields);

fn no_object<T>() -> Result<T, Error> {
    Err(Error::custom("a leaf is an object"))
}

/// What is no object is refused, whatever it is.
macro_rules! refuse {
    ($($name:ident($($kind:ty),*) -> $ok:ty;)*) => {
        $(fn $name(self, $(_: $kind),*) -> Result<$ok, Error> { no_object() })*
    };
}

impl Serializer for Top<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        no_object()
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}

impl SerializeStruct for Top<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.0.key(key)?;
        self.0.value(value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

/// What serde makes of a struct with flattened fields.
impl SerializeMap for Top<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.0.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.0.value(value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Inner {
        b: u8,
    }

    #[derive(Serialize)]
    struct Object {
        z: &'static str,
        #[serde(flatten)]
        inner: Inner,
        aa: Option<u8>,
        a: Vec<u8>,
    }

    #[test]
    fn keys_are_sorted_and_what_is_no_object_is_refused() {
        let object = Object {
            z: "\"\u{7}ü",
            inner: Inner { b: 3 },
            aa: None,
            a: vec![1, 2],
        };
        let (line, place) = to_vec(&object, "b").unwrap();
        assert_eq!(&line[place.unwrap()], b"3");
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            r#"{"a":[1,2],"aa":null,"b":3,"z":"\"\u0007ü"}"#
        );
        assert_eq!(to_vec(&object, "c").unwrap().1, None);
        assert!(to_vec(&7, "").is_err() && to_vec(&[1], "").is_err() && to_vec(&"x", "").is_err());
    }
}
