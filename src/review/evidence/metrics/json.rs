//! JSON: an object of names to numbers. Objects within it are joined with `.`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    super::{Broken, plain},
    Wanted,
};

/// Most objects within one another. Each is read once per level above it.
const MAX_DEPTH: usize = 8;
/// Most bytes of a name that are told apart: no target has a longer one.
const MAX_NAME: usize = 1024;

/// Hands over every number. Answers whether there was any.
pub(super) fn read(text: &str, wanted: &mut Wanted) -> Result<bool, Broken> {
    let mut walk = Walk { wanted, any: false, refusal: None };
    walk.object(text, "", 1)?;
    Ok(walk.any)
}

struct Walk<'a> {
    wanted: &'a mut Wanted,
    any: bool,
    /// Why something was refused, since serde's errors carry text only.
    refusal: Option<Broken>,
}

impl Walk<'_> {
    fn object(&mut self, text: &str, name: &str, depth: usize) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken::invalid(format!("{}: more than {MAX_DEPTH} objects within one another", shown(name))));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let walked = json.deserialize_map(Object { walk: self, name, depth });
        let ended = walked.and_then(|()| json.end());
        match (self.refusal.take(), ended) {
            (Some(broken), _) => Err(broken),
            (None, Err(error)) => Err(Broken::invalid(format!("not an object of names to numbers: {error}"))),
            (None, Ok(())) => Ok(()),
        }
    }

    fn value(&mut self, name: &str, value: &RawValue, depth: usize) -> Result<(), Broken> {
        let text = value.get();
        let what = match text.as_bytes().first() {
            Some(b'{') => return self.object(text, name, depth + 1),
            Some(b'-' | b'0'..=b'9') => {
                self.any = true;
                return self.wanted.take(|metric| metric == name, text);
            }
            Some(b'[') => "a list",
            Some(b'"') => "a text",
            Some(b'n') => "null",
            _ => "true or false",
        };
        Err(Broken::invalid(format!("{} is {what}; a measurement is a number", shown(name))))
    }
}

fn shown(name: &str) -> String {
    plain(name, 100)
}

struct Object<'a, 'b> {
    walk: &'a mut Walk<'b>,
    name: &'a str,
    depth: usize,
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value = map.next_value::<&'de RawValue>()?;
            let name = if self.name.is_empty() { key.into_owned() } else { format!("{}.{key}", self.name) };
            let name = crate::review::cut_bytes(&name, MAX_NAME);
            self.walk.value(&name, value, self.depth).map_err(|broken| {
                self.walk.refusal = Some(broken);
                serde::de::Error::custom("refused")
            })?;
        }
        Ok(())
    }
}
