//! The few fields of SARIF that matter here. Everything else is skipped, so that a tool's slip in a
//! field nobody reads does not cost its findings.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// `result.level` (SARIF §3.27.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
    None,
}

impl Level {
    /// An unknown word counts as an error: what is not understood is not let through.
    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "warning" => Self::Warning,
            "note" => Self::Note,
            "none" => Self::None,
            _ => Self::Error,
        }
    }
}

/// A rule, as much of it as is kept.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) level: Option<Level>,
    pub(super) security_severity: Option<f64>,
    /// What it is about, for results without words of their own.
    pub(super) text: String,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawRule::deserialize(deserializer)?;
        let text = raw.short_description.and_then(|message| message.text).or(raw.name).unwrap_or_default();
        Ok(Self {
            id: raw.id.unwrap_or_default(),
            level: raw.default_configuration.and_then(|c| c.level).map(|word| Level::parse(&word)),
            security_severity: raw.properties.and_then(|p| p.security_severity).and_then(|s| s.0),
            text: text.chars().take(200).collect(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    id: Option<String>,
    name: Option<String>,
    short_description: Option<Message>,
    default_configuration: Option<Configuration>,
    properties: Option<Properties>,
}

#[derive(Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "security-severity")]
    security_severity: Option<Number>,
}

/// A number that some tools write as a text. None for anything else.
#[derive(Debug)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(u32::try_from(number).unwrap_or(u32::MAX).into())))
    }

    fn visit_i64<E: Error>(self, _negative: i64) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.trim().parse().ok().filter(|number: &f64| number.is_finite())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Number, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

#[derive(Debug, Deserialize)]
struct Message {
    text: Option<String>,
    markdown: Option<String>,
    id: Option<String>,
}

/// A result: one thing that was found, unless its kind or a suppression says otherwise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultObject {
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleReference>,
    kind: Option<String>,
    level: Option<String>,
    baseline_state: Option<String>,
    message: Option<Message>,
    suppressions: Option<Suppressions>,
    locations: Option<First>,
    analysis_target: Option<ArtifactLocation>,
    properties: Option<Properties>,
}

#[derive(Debug, Deserialize)]
struct Suppression {
    status: Option<String>,
}

/// Which rule, in which component of the tool.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleReference {
    id: Option<String>,
    index: Option<i64>,
    tool_component: Option<ComponentReference>,
}

#[derive(Debug, Deserialize)]
struct ComponentReference {
    index: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<PhysicalLocation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Option<ArtifactLocation>,
    region: Option<Region>,
}

/// Where in a file. Lines are counted from 1.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region {
    pub(super) start_line: Option<i64>,
    #[expect(dead_code, reason = "tells findings on one line apart, through Debug")]
    start_column: Option<i64>,
    #[expect(dead_code, reason = "as above")]
    end_line: Option<i64>,
    #[expect(dead_code, reason = "as above")]
    end_column: Option<i64>,
    #[expect(dead_code, reason = "as above")]
    char_offset: Option<i64>,
    #[expect(dead_code, reason = "as above")]
    byte_offset: Option<i64>,
}

/// Which file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtifactLocation {
    pub(super) uri: Option<String>,
    pub(super) uri_base_id: Option<String>,
    pub(super) index: Option<i64>,
}

/// A base that addresses are relative to.
pub(super) type BaseId = ArtifactLocation;

#[derive(Deserialize)]
pub(super) struct Artifact {
    pub(super) location: Option<ArtifactLocation>,
}

/// One time that a tool was run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invocation {
    /// Whether it did what it was started for (SARIF §3.20.14).
    pub(super) execution_successful: Option<bool>,
}

/// A list of which only a summary is kept while it is read.
trait Summary: Default {
    type Element: for<'de> Deserialize<'de>;
    fn add(&mut self, element: Self::Element);
}

struct SummaryOf<T>(T);

impl<'de, T: Summary> Visitor<'de> for SummaryOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<T, A::Error> {
        while let Some(element) = seq.next_element()? {
            self.0.add(element);
        }
        Ok(self.0)
    }
}

fn summary<'de, T: Summary, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_seq(SummaryOf(T::default()))
}

/// The first location.
#[derive(Debug, Default)]
struct First(Option<Location>);

impl Summary for First {
    type Element = Option<Location>;

    fn add(&mut self, element: Option<Location>) {
        self.0 = self.0.take().or(element);
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        summary(deserializer)
    }
}

/// Whether there is a suppression, and whether one does not hold.
#[derive(Debug, Default)]
struct Suppressions {
    any: bool,
    open: bool,
}

impl Summary for Suppressions {
    type Element = Suppression;

    fn add(&mut self, element: Suppression) {
        self.any = true;
        self.open |= element.status.is_some_and(|status| status != "accepted");
    }
}

impl<'de> Deserialize<'de> for Suppressions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        summary(deserializer)
    }
}

impl ResultObject {
    /// Whether it is a finding of this run: of kind fail, still there, and not suppressed.
    pub(super) fn is_open(&self) -> bool {
        let fails = self.kind.as_deref().is_none_or(|kind| !NOT_A_FAILURE.contains(&kind));
        let gone = self.baseline_state.as_deref() == Some("absent");
        fails && !gone && !self.is_suppressed()
    }

    /// Suppressed when no suppression is still under review or rejected (SARIF §3.27.23).
    fn is_suppressed(&self) -> bool {
        self.suppressions.as_ref().is_some_and(|suppressions| suppressions.any && !suppressions.open)
    }

    pub(super) fn level(&self) -> Option<Level> {
        self.level.as_deref().map(Level::parse)
    }

    pub(super) fn security_severity(&self) -> Option<f64> {
        self.properties.as_ref()?.security_severity.as_ref()?.0
    }

    pub(super) fn message_text(&self) -> Option<&str> {
        let message = self.message.as_ref()?;
        [&message.text, &message.markdown, &message.id]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|s| !s.is_empty())
    }

    /// The rule's id as the result gives it.
    pub(super) fn rule_name(&self) -> Option<&str> {
        self.rule_id.as_deref().or_else(|| self.rule.as_ref()?.id.as_deref()).filter(|id| !id.is_empty())
    }

    /// Index of the rule in its component's list; -1 stands for none.
    pub(super) fn rule_index(&self) -> Option<usize> {
        let index = self.rule_index.or_else(|| self.rule.as_ref()?.index)?;
        usize::try_from(index).ok()
    }

    /// Index of the extension that the rule belongs to; none for the driver.
    pub(super) fn extension(&self) -> Option<usize> {
        usize::try_from(self.rule.as_ref()?.tool_component.as_ref()?.index?).ok()
    }

    fn physical(&self) -> Option<&PhysicalLocation> {
        self.locations.as_ref()?.0.as_ref()?.physical_location.as_ref()
    }

    pub(super) fn artifact(&self) -> Option<&ArtifactLocation> {
        self.physical().and_then(|place| place.artifact_location.as_ref()).or(self.analysis_target.as_ref())
    }

    pub(super) fn region(&self) -> Option<&Region> {
        self.physical()?.region.as_ref()
    }
}

/// Kinds of results that are not findings (SARIF §3.27.9). `fail` is, and so is an unknown word.
const NOT_A_FAILURE: [&str; 5] = ["pass", "notApplicable", "informational", "review", "open"];
