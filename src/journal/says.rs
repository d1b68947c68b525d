//! What a leaf says, as far as whoever checks or indexes it needs to know: read in one go, without
//! a tree of values in memory, because there may be millions.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::record::Commitment;

/// The statements of one leaf, in its order.
pub(super) struct Says<'a>(Vec<(Text<'a>, Said<'a>)>);

/// A commitment as a leaf spells it.
pub(super) struct Committed<'a> {
    c: Text<'a>,
    n: u64,
}

impl Committed<'_> {
    /// Whether it is this one.
    pub(super) fn is(&self, other: &Commitment) -> bool {
        self.n == other.n && self.c.0 == other.c
    }
}

/// A text that is copied only where JSON escapes make that necessary.
struct Text<'a>(Cow<'a, str>);

enum Said<'a> {
    Text(Text<'a>),
    Number(u64),
    Committed(Committed<'a>),
    Else,
}

impl<'a> Says<'a> {
    /// Reads a leaf; none when it is no JSON object.
    pub(super) fn of(leaf: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(leaf).ok()
    }

    /// Where a leaf says something twice, the last counts.
    fn said(&self, name: &str) -> Option<&Said<'a>> {
        let found = self.0.iter().rev().find(|(key, _)| key.0 == name);
        found.map(|(_, said)| said)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.said(name).is_some()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.said(name)? {
            Said::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.said(name)? {
            Said::Text(text) => Some(&text.0),
            _ => None,
        }
    }

    /// The fields whose contents it commits to.
    pub(super) fn commitments(&self) -> impl Iterator<Item = (&str, &Committed<'a>)> {
        self.0.iter().filter_map(|(key, said)| match said {
            Said::Committed(committed) => Some((&*key.0, committed)),
            _ => None,
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reads)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Says<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Says<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut says = Vec::with_capacity(24);
                while let Some(entry) = map.next_entry()? {
                    says.push(entry);
                }
                Ok(Says(says))
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadsSaid)
    }
}

struct ReadsSaid;

impl<'de> Visitor<'de> for ReadsSaid {
    type Value = Said<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Said::Text(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Said::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Said::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Said::Else)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Said::Else)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Said::Else)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Said::Else)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Said::Else)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut c, mut n) = (None, None);
        while let Some((key, said)) = map.next_entry::<Text<'de>, Said<'de>>()? {
            match (&*key.0, said) {
                ("c", Said::Text(text)) => c = Some(text),
                ("n", Said::Number(number)) => n = Some(number),
                _ => {}
            }
        }
        Ok(match (c, n) {
            (Some(c), Some(n)) => Said::Committed(Committed { c, n }),
            _ => Said::Else,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_a_check_needs_and_passes_over_the_rest() {
        let leaf = br#"{"body":{"c":"tag","n":7},"call":3,"error":"a \"b\"","i":9,"minus":-1,
            "part":1.5,"redactions":[{"count":1,"rule":"x"}],"res":[],"t":"call.request",
            "target":{"c":"\u0041","n":0},"tool":{"version":"1"},"unkept":null,"yes":true}"#;
        let says = Says::of(leaf).unwrap();
        assert_eq!((says.number("i"), says.number("call")), (Some(9), Some(3)));
        assert_eq!(says.text("t"), Some("call.request"));
        assert_eq!(says.text("error"), Some("a \"b\""));
        assert_eq!((says.text("call"), says.number("minus")), (None, None));
        assert!(says.has("unkept") && !says.has("level"));
        let found: Vec<_> = says
            .commitments()
            .map(|(name, it)| (name, &*it.c.0, it.n))
            .collect();
        assert_eq!(found, [("body", "tag", 7), ("target", "A", 0)]);
    }

    #[test]
    fn what_is_no_object_says_nothing() {
        for wrong in ["", "[]", "1", "{", "{\"a\":1}x", "\"text\"", "{1:2}"] {
            assert!(Says::of(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn said_twice_the_last_counts() {
        assert_eq!(Says::of(br#"{"i":1,"i":2}"#).unwrap().number("i"), Some(2));
    }
}
