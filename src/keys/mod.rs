//! API keys: who an outside system is, and what it may speak of (design §9, §13).
//!
//! Only hashes are kept, in one file `keys.yaml` of a mounted Secret. `file` reads it again when it changes, `create`
//! makes a new key. A key is 32 random bytes, so a plain hash of it cannot be turned back; digests are compared in
//! constant time. Nothing here prints or logs a key, nor a value of the file other than the name of an entry.

pub mod create;
mod file;

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use file::KeyFile;

/// Fewest characters of a key.
pub const MIN_KEY: usize = 32;
/// Most characters of a key; what is longer is not hashed.
const MAX_KEY: usize = 256;
/// Most entries of a file.
const MAX_KEYS: usize = 1000;
/// Most namespaces or repositories of an entry.
const MAX_NAMES: usize = 256;
const FIELDS: [&str; 5] = ["name", "role", "sha256", "namespaces", "repositories"];

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyRole {
    /// Reads phases.
    Viewer,
    /// Reads and steers phases.
    Lead,
    /// Does a developer's tasks.
    Developer,
    /// Says how external checks ended.
    Ci,
}

impl KeyRole {
    /// The word in the file and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Lead => "lead",
            Self::Developer => "developer",
            Self::Ci => "ci",
        }
    }
}

/// Names that a key is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Scope {
    /// Whether `name` is one of them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

/// One key, without the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// For people and logs.
    pub name: String,
    /// What it is for.
    pub role: KeyRole,
    /// Namespaces it may speak of.
    pub namespaces: Scope,
    /// Repositories in them.
    pub repositories: Scope,
    digest: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// All keys of a file.
#[derive(Debug, Default)]
pub struct Keys(Vec<std::sync::Arc<Key>>);

impl Keys {
    /// The entries of a file, and a sentence for each that is refused.
    ///
    /// # Errors
    /// If the file is no list at all. The words hold nothing of its content.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let not_a_list = "it is not a YAML list of entries with name, role, sha256 and namespaces";
        let document: Value = serde_yaml::from_str(text).map_err(|error| {
            let place = error.location().map(|place| format!(" (line {})", place.line())).unwrap_or_default();
            format!("{not_a_list}{place}")
        })?;
        let entries = match document {
            Value::Null => Vec::new(),
            Value::Sequence(entries) => entries,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Mapping(_) | Value::Tagged(_) => {
                return Err(not_a_list.to_owned());
            }
        };
        let (mut keys, mut refused) = (Vec::<std::sync::Arc<Key>>::new(), Vec::new());
        for (index, value) in entries.iter().enumerate() {
            let known = |key: &Key| keys.iter().any(|other| other.name == key.name || other.digest == key.digest);
            match entry(value) {
                _ if index >= MAX_KEYS => {
                    refused.push(format!("entries after the first {MAX_KEYS} are not read"));
                    break;
                }
                Ok(key) if known(&key) => {
                    refused.push(format!("{}: an entry before it has the same name or sha256", title(index, value)));
                }
                Ok(key) => keys.push(std::sync::Arc::new(key)),
                Err(why) => refused.push(format!("{}: {why}", title(index, value))),
            }
        }
        Ok((Self(keys), refused))
    }

    /// Whose key this is. Every entry is compared, in constant time.
    pub fn find(&self, presented: &str) -> Option<std::sync::Arc<Key>> {
        if !(MIN_KEY..=MAX_KEY).contains(&presented.len()) {
            return None;
        }
        let digest = digest(presented);
        let matches = |key: &&std::sync::Arc<Key>| bool::from(key.digest.ct_eq(&digest));
        self.0.iter().filter(matches).fold(None, |_, key| Some(key.clone()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The hash of a key.
fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// How an entry is called in a log.
fn title(index: usize, entry: &Value) -> String {
    let name = entry.get("name").and_then(Value::as_str).filter(|name| is_key_name(name));
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("entry {}{name}", index + 1)
}

fn entry(value: &Value) -> Result<Key, String> {
    let map = value.as_mapping().ok_or("it is not a map of name, role, sha256 and namespaces")?;
    if !map.keys().all(|key| key.as_str().is_some_and(|key| FIELDS.contains(&key))) {
        return Err(format!("it has a field that means nothing; the fields are {}", FIELDS.join(", ")));
    }
    Ok(Key {
        name: name(map)?,
        role: role(map)?,
        digest: sha256(map)?,
        namespaces: scope(map, "namespaces")?.ok_or("namespaces: list them, or say `all`")?,
        repositories: scope(map, "repositories")?.unwrap_or(Scope::All),
    })
}

fn name(map: &Mapping) -> Result<String, &'static str> {
    let name = map.get("name").and_then(Value::as_str).filter(|name| is_key_name(name));
    name.map(str::to_owned).ok_or("name: 1 to 63 letters, digits, `.`, `_` and `-`")
}

fn role(map: &Mapping) -> Result<KeyRole, &'static str> {
    let word = map.get("role").and_then(Value::as_str);
    let role = KeyRole::value_variants().iter().copied().find(|role| Some(role.word()) == word);
    role.ok_or("role: viewer, lead, developer or ci")
}

fn sha256(map: &Mapping) -> Result<[u8; 32], &'static str> {
    let text = map.get("sha256").and_then(Value::as_str).unwrap_or_default();
    let mut digest = [0; 32];
    let wrong = "sha256: the SHA-256 of the key as 64 hexadecimal digits in quotes, never the key itself";
    hex::decode_to_slice(text, &mut digest).map_err(|_| wrong)?;
    Ok(digest)
}

fn scope(map: &Mapping, field: &str) -> Result<Option<Scope>, String> {
    let wrong = || format!("{field}: `all`, or a list of 1 to {MAX_NAMES} names");
    match map.get(field) {
        None => Ok(None),
        Some(Value::String(word)) if word == "all" => Ok(Some(Scope::All)),
        Some(Value::Sequence(names)) if (1..=MAX_NAMES).contains(&names.len()) => {
            let name = |name: &Value| name.as_str().filter(|name| is_label(name)).map(str::to_owned);
            let names: Option<BTreeSet<String>> = names.iter().map(name).collect();
            names.map(|names| Some(Scope::Only(names))).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn is_key_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A name of a namespace or a Repository.
fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
