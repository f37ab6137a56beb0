//! Walks a SARIF document and hands over one element at a time.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    super::Broken,
    model::{Artifact, ArtifactLocation, BaseId, Invocation, ResultObject, Rule},
};

/// Where the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Document,
    Runs,
    Run,
    Results,
    Tool,
    Extensions,
    Component,
    Rules,
    Artifacts,
    Bases,
    Invocations,
}

/// Takes what the walk meets. What it does not want is skipped without being held.
pub(super) trait Sink {
    /// Whether to walk into this part.
    fn wants(&self, at: At) -> bool;
    /// A run begins.
    fn run(&mut self) -> Result<(), Broken>;
    /// A component of the tool begins: the driver or an extension.
    fn component(&mut self, _extension: bool) -> Result<(), Broken> {
        Ok(())
    }
    /// A rule of the component that began last.
    fn rule(&mut self, _rule: Rule, _extension: bool) -> Result<(), Broken> {
        Ok(())
    }
    /// An artifact of the run.
    fn artifact(&mut self, _location: ArtifactLocation) -> Result<(), Broken> {
        Ok(())
    }
    /// A base of the run's addresses.
    fn base(&mut self, _id: String, _base: BaseId) -> Result<(), Broken> {
        Ok(())
    }
    /// One time that the tool was run for it.
    fn invocation(&mut self, _invocation: Invocation) -> Result<(), Broken> {
        Ok(())
    }
    /// A result of the run.
    fn result(&mut self, _result: ResultObject) -> Result<(), Broken> {
        Ok(())
    }
}

/// Walks a document from its beginning to its end.
pub(super) fn walk(text: &str, sink: &mut impl Sink) -> Result<(), Broken> {
    let mut refusal = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = Walk { at: At::Document, extension: false, sink, refusal: &mut refusal }.deserialize(&mut json);
    let ended = walked.and_then(|()| json.end());
    match (refusal, ended) {
        (Some(broken), _) => Err(broken),
        (None, Err(error)) => Err(Broken::invalid(format!("not SARIF: {error}"))),
        (None, Ok(())) => Ok(()),
    }
}

struct Walk<'a, S> {
    at: At,
    extension: bool,
    sink: &'a mut S,
    /// Why the sink refused, since serde's errors carry text only.
    refusal: &'a mut Option<Broken>,
}

impl<S: Sink> Walk<'_, S> {
    fn step(&mut self, at: At) -> Walk<'_, S> {
        let extension = self.extension || at == At::Extensions;
        Walk { at, extension, sink: &mut *self.sink, refusal: &mut *self.refusal }
    }

    fn tell<E: Error>(&mut self, told: impl FnOnce(&mut S) -> Result<(), Broken>) -> Result<(), E> {
        told(self.sink).map_err(|broken| {
            *self.refusal = Some(broken);
            E::custom("refused")
        })
    }

    /// The part that a key of an object leads to.
    fn under(&self, key: &str) -> Option<At> {
        let at = match (self.at, key) {
            (At::Document, "runs") => At::Runs,
            (At::Run, "results") => At::Results,
            (At::Run, "tool") => At::Tool,
            (At::Run, "artifacts") => At::Artifacts,
            (At::Run, "originalUriBaseIds") => At::Bases,
            (At::Run, "invocations") => At::Invocations,
            (At::Tool, "driver") => At::Component,
            (At::Tool, "extensions") => At::Extensions,
            (At::Component, "rules") => At::Rules,
            _ => return None,
        };
        self.sink.wants(at).then_some(at)
    }

    fn object(&self) -> bool {
        match self.at {
            At::Document | At::Run | At::Tool | At::Component | At::Bases => true,
            At::Runs | At::Results | At::Extensions | At::Rules | At::Artifacts | At::Invocations => false,
        }
    }
}

impl<'de, S: Sink> DeserializeSeed<'de> for Walk<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        match self.at {
            At::Run => self.tell(Sink::run)?,
            At::Component => {
                let extension = self.extension;
                self.tell(|sink| sink.component(extension))?;
            }
            At::Document
            | At::Runs
            | At::Results
            | At::Tool
            | At::Extensions
            | At::Rules
            | At::Artifacts
            | At::Invocations
            | At::Bases => {}
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Walk<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.object() { "an object" } else { "a list" };
        write!(f, "{what} ({:?})", self.at)
    }

    /// `null`, which some tools write for an empty list or object.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if matches!(self.at, At::Document | At::Run) {
            return Err(E::custom("null instead of an object"));
        }
        // SARIF §3.14.23: not the same as an empty list.
        if self.at == At::Results {
            return Err(E::custom("the results of a run are null, so the tool did not compute them"));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if !self.object() {
            return Err(A::Error::custom(format!("an object instead of a list ({:?})", self.at)));
        }
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.at == At::Bases {
                let base = map.next_value::<Option<BaseId>>()?.unwrap_or_default();
                self.tell(|sink| sink.base(key, base))?;
                continue;
            }
            match self.under(&key) {
                Some(at) if seen.contains(&at) => return Err(A::Error::custom(format!("{key:?} is there twice"))),
                Some(at) => {
                    seen.push(at);
                    map.next_value_seed(self.step(at))?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        match self.at {
            At::Runs => while seq.next_element_seed(self.step(At::Run))?.is_some() {},
            At::Extensions => while seq.next_element_seed(self.step(At::Component))?.is_some() {},
            At::Rules => {
                let extension = self.extension;
                self.each(&mut seq, |sink, rule| sink.rule(rule, extension))?;
            }
            At::Results => self.each(&mut seq, Sink::result)?,
            At::Artifacts => {
                self.each(&mut seq, |sink, artifact: Artifact| sink.artifact(artifact.location.unwrap_or_default()))?;
            }
            At::Invocations => self.each(&mut seq, Sink::invocation)?,
            At::Document | At::Run | At::Tool | At::Component | At::Bases => {
                return Err(A::Error::custom(format!("a list instead of an object ({:?})", self.at)));
            }
        }
        Ok(())
    }
}

impl<S: Sink> Walk<'_, S> {
    fn each<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(
        &mut self,
        seq: &mut A,
        mut told: impl FnMut(&mut S, T) -> Result<(), Broken>,
    ) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<T>()? {
            self.tell(|sink| told(sink, element))?;
        }
        Ok(())
    }
}
