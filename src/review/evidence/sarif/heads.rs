//! The first walk: what the results of each run refer to. Bounded, since it is held.

use std::collections::BTreeMap;

use super::{
    super::{Broken, place, place::Place},
    model::{ArtifactLocation, BaseId, Invocation, ResultObject, Rule},
    walk::{At, Sink},
};

/// Most runs, components, rules, artifacts and bases of one file together.
const MAX_HELD: usize = 100_000;
/// Longest chain of bases that refer to one another.
const MAX_BASES: usize = 8;

/// What is known of every run, in order.
#[derive(Default)]
pub(super) struct Heads {
    pub(super) runs: Vec<Head>,
    held: usize,
}

/// What the results of one run refer to.
#[derive(Default)]
pub(super) struct Head {
    driver: Component,
    extensions: Vec<Component>,
    artifacts: Vec<ArtifactLocation>,
    bases: BTreeMap<String, BaseId>,
}

#[derive(Default)]
struct Component {
    rules: Vec<Rule>,
    by_id: BTreeMap<String, usize>,
}

impl Heads {
    /// The run that is walked, once there is room for one more thing.
    fn current(&mut self) -> Result<&mut Head, Broken> {
        self.held += 1;
        if self.held > MAX_HELD {
            return Err(Broken::invalid(format!("more than {MAX_HELD} runs, rules and artifacts")));
        }
        self.runs.last_mut().ok_or_else(|| Broken::invalid("not SARIF: something stands outside of a run"))
    }
}

impl Sink for Heads {
    fn wants(&self, at: At) -> bool {
        at != At::Results
    }

    fn run(&mut self) -> Result<(), Broken> {
        self.runs.push(Head::default());
        self.current().map(|_| ())
    }

    fn component(&mut self, extension: bool) -> Result<(), Broken> {
        let run = self.current()?;
        if extension {
            run.extensions.push(Component::default());
        }
        Ok(())
    }

    fn rule(&mut self, rule: Rule, extension: bool) -> Result<(), Broken> {
        let run = self.current()?;
        let component = if extension { run.extensions.last_mut() } else { Some(&mut run.driver) };
        if let Some(component) = component {
            component.by_id.entry(rule.id.clone()).or_insert(component.rules.len());
            component.rules.push(rule);
        }
        Ok(())
    }

    fn artifact(&mut self, location: ArtifactLocation) -> Result<(), Broken> {
        self.current()?.artifacts.push(location);
        Ok(())
    }

    fn invocation(&mut self, invocation: Invocation) -> Result<(), Broken> {
        if invocation.execution_successful == Some(false) {
            return Err(Broken::invalid(
                "the tool says that it did not do its work (executionSuccessful is false); its own output says why",
            ));
        }
        Ok(())
    }

    fn base(&mut self, id: String, base: BaseId) -> Result<(), Broken> {
        self.current()?.bases.insert(id, base);
        Ok(())
    }
}

impl Component {
    fn by_id(&self, id: &str) -> Option<&Rule> {
        self.rules.get(*self.by_id.get(id)?)
    }
}

impl Head {
    /// The rule of a result: by index, which is exact, or else by id. A hierarchical id such as
    /// `CA1000/1` belongs to the rule `CA1000` (SARIF §3.27.5).
    pub(super) fn rule(&self, result: &ResultObject) -> Option<&Rule> {
        let component = result.extension().map_or(Some(&self.driver), |index| self.extensions.get(index));
        let by_index = component.zip(result.rule_index()).and_then(|(component, index)| component.rules.get(index));
        by_index.or_else(|| {
            let id = result.rule_name()?;
            self.by_id(id).or_else(|| self.by_id(id.rsplit_once('/')?.0))
        })
    }

    fn by_id(&self, id: &str) -> Option<&Rule> {
        std::iter::once(&self.driver).chain(&self.extensions).find_map(|component| component.by_id(id))
    }

    /// Where a result is, and on which line (0 for none).
    pub(super) fn place(&self, result: &ResultObject, root: &str) -> (Place, u32) {
        let Some(named) = result.artifact() else { return (Place::Nowhere, 0) };
        let listed = || self.artifacts.get(usize::try_from(named.index?).ok()?);
        let artifact = if named.uri.is_some() { named } else { listed().unwrap_or(named) };
        let line = result.region().and_then(|region| u32::try_from(region.start_line?).ok()).unwrap_or(0);
        let place = self.address(artifact).map_or(Place::Nowhere, |uri| place::of_uri(&uri, root));
        (place, line)
    }

    /// The address with its bases put before it. An unknown base is the work tree.
    fn address(&self, artifact: &ArtifactLocation) -> Option<String> {
        let mut uri = artifact.uri.clone()?;
        let mut base = artifact.uri_base_id.as_ref();
        for _ in 0..MAX_BASES {
            let Some(known) = base.and_then(|id| self.bases.get(id)) else { break };
            if let Some(before) = &known.uri {
                uri = place::joined(before, &uri);
            }
            base = known.uri_base_id.as_ref();
        }
        Some(uri)
    }
}
