//! Types that several kinds share: numbers, durations, references, and what a review and a retry are.
//! Serde and schema only: no behaviour beyond parsing and printing.

use std::{borrow::Cow, fmt, str::FromStr};

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// API group of every kind here.
pub const GROUP: &str = "phasegate.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";

/// A decimal with one digit after the point, from 0.0 to 10.0, held in tenths.
///
/// In YAML an integer or a quoted string: an unquoted 9.0 arrives as the integer 9, and an
/// unquoted 9.5 is refused by the schema. Quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u16);

impl Decimal {
    /// From tenths; values above 100 are cut to 100.
    pub const fn from_tenths(tenths: u16) -> Self {
        Self(if tenths > 100 { 100 } else { tenths })
    }

    /// In tenths, 0 to 100.
    pub const fn tenths(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a number from 0.0 to 10.0 with at most one digit after the point")]
pub struct ParseDecimalError(String);

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseDecimalError(text.to_owned());
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 2) || !digits(tenth, 1) {
            return Err(bad());
        }
        let tenths = whole.parse::<u16>().map_err(|_| bad())? * 10 + tenth.parse::<u16>().map_err(|_| bad())?;
        if tenths > 100 { Err(bad()) } else { Ok(Self(tenths)) }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(u16),
            String(String),
        }
        match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(n) => n.to_string().parse().map_err(serde::de::Error::custom),
            IntOrString::String(s) => s.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The pattern binds strings only; integers are bound by maximum and minimum.
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^(10(\\.0)?|[0-9](\\.[0-9])?)$",
            "minimum": 0,
            "maximum": 10,
            "maxLength": 4,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A measured or wanted number, such as `250`, `"0.05"` or `"99.95"`, held in millionths.
///
/// In YAML an integer or a quoted string, like [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i64);

/// Digits before the point.
const WHOLE_DIGITS: usize = 12;
/// Digits after the point.
const PART_DIGITS: usize = 6;

impl Quantity {
    /// From millionths.
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    pub const fn millionths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, all) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let part = format!("{:06}", all % 1_000_000);
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{part}", all / 1_000_000)
    }
}

/// Why a text is not a [`Quantity`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a number with at most 12 digits before and 6 after the point")]
pub struct ParseQuantityError(String);

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseQuantityError(text.chars().take(64).collect());
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = rest.split_once('.').unwrap_or((rest, "0"));
        let digits = |s: &str, most: usize| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, WHOLE_DIGITS) || !digits(part, PART_DIGITS) {
            return Err(bad());
        }
        let all: i64 = format!("{whole}{part:0<6}").parse().map_err(|_| bad())?;
        Ok(Self(if negative { -all } else { all }))
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(i64),
            String(String),
        }
        match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(n) => n.to_string().parse().map_err(serde::de::Error::custom),
            IntOrString::String(s) => s.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,6})?$",
            "maxLength": 20,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A span of time such as `90s`, `5m` or `1h30m`, held in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u32);

impl Duration {
    /// From whole seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds)
    }

    /// In whole seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

/// Why a text is not a [`Duration`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a duration such as 90s, 5m or 1h30m")]
pub struct ParseDurationError(String);

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseDurationError(text.to_owned());
        let (mut total, mut number) = (0_u32, None::<u32>);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
                number = Some(next.ok_or_else(bad)?);
                continue;
            }
            let unit = match c {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return Err(bad()),
            };
            let part = number.take().ok_or_else(bad)?.checked_mul(unit).ok_or_else(bad)?;
            total = total.checked_add(part).ok_or_else(bad)?;
        }
        if number.is_some() || text.is_empty() { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 % 3600 / 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.0 == 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$",
            "minLength": 2,
            "maxLength": 24,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Schema of a core/v1 fragment that is carried as it is: the API server that made the
/// `PodTemplate` has validated it already.
pub(crate) fn carried_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Like [`carried_object`], for lists.
pub(crate) fn carried_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// Labels, or labels to select by: the API server that made the `PodTemplate` has validated them.
pub(crate) fn carried_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// A reference to an object of the same namespace, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What a reviewer looks at and what a score must reach.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// What the review is to look at in particular.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    pub focus: Vec<String>,
    /// Weighted score that passes (seed: 9.0). A Phase may raise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing_score: Option<Decimal>,
    /// Categories that count. Those listed, or else the seed's five if there is a reviewer, or else
    /// those that the checks feed, with the seed's weights and the default floors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub categories: Vec<Category>,
}

/// A category of the score.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Category {
    /// Name, such as `security`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Share of the total, relative to the other categories' weights. The seed's for its five
    /// categories unless set; other categories must set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<i32>,
    /// Score below which the gate refuses whatever the total. The defaults of design §7 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Decimal>,
}

/// How failures are retried (seed: Error Handling).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts a phase has in all: the first and the reworks (seed: 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: Option<i32>,
    /// Wait between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Runs that one task may spend (default 4). Broken infrastructure spends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub max_runs_per_task: Option<i32>,
}

/// Exponential backoff with jitter: `initial`, doubled each time, at most `max`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// First wait (default 30s).
    #[serde(default = "Backoff::default_initial")]
    pub initial: Duration,
    /// Longest wait (default 10m).
    #[serde(default = "Backoff::default_max")]
    pub max: Duration,
}

impl Backoff {
    fn default_initial() -> Duration {
        Duration::from_secs(30)
    }

    fn default_max() -> Duration {
        Duration::from_secs(600)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Self::default_initial(), max: Self::default_max() }
    }
}

pub(crate) fn yes() -> bool {
    true
}
