//! Phases as a table, as a tree and as a Kubernetes List. Pure.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, Color, Table, presets};
use k8s_openapi::jiff::Timestamp;

use super::{
    reading,
    text::{Look, age, plain},
};
use crate::api::{Phase, phase::PhaseState};

/// The table of design §15. `now` is for the ages; namespaces have a column of their own if asked.
pub(crate) fn table(phases: &[Phase], namespaces: bool, now: Timestamp, look: &Look) -> String {
    let rows: Vec<_> = phases.iter().map(|phase| (reading::name(phase).to_owned(), phase)).collect();
    draw(&rows, namespaces, now, look)
}

/// The same, each phase under the phase it depends on.
pub(crate) fn tree(phases: &[Phase], now: Timestamp, look: &Look) -> String {
    let by_name: BTreeMap<_, _> = phases.iter().map(|phase| (reading::name(phase), phase)).collect();
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (name, phase) in &by_name {
        // Below the last dependency that exists: the one it most likely waits for.
        match phase.spec.depends_on.iter().rev().find(|dependency| by_name.contains_key(dependency.as_str())) {
            Some(parent) => children.entry(parent.as_str()).or_default().push(name),
            None => roots.push(*name),
        }
    }
    let mut drawn = Branches { by_name: &by_name, children: &children, seen: BTreeSet::new(), rows: Vec::new() };
    for root in roots {
        drawn.draw(root, "", "");
    }
    // Phases that depend on one another in a circle hang below no root.
    for name in by_name.keys() {
        drawn.draw(name, "", "");
    }
    draw(&drawn.rows, false, now, look)
}

struct Branches<'a> {
    by_name: &'a BTreeMap<&'a str, &'a Phase>,
    children: &'a BTreeMap<&'a str, Vec<&'a str>>,
    seen: BTreeSet<&'a str>,
    rows: Vec<(String, &'a Phase)>,
}

impl<'a> Branches<'a> {
    fn draw(&mut self, name: &'a str, mark: &str, indent: &str) {
        let Some(phase) = self.by_name.get(name).copied().filter(|_| self.seen.insert(name)) else { return };
        self.rows.push((format!("{indent}{mark}{name}"), phase));
        let below = match mark {
            "" => String::new(),
            "└─" => format!("{indent}  "),
            _ => format!("{indent}│ "),
        };
        let children = self.children.get(name).cloned().unwrap_or_default();
        let last = children.len().saturating_sub(1);
        for (at, child) in children.into_iter().enumerate() {
            self.draw(child, if at == last { "└─" } else { "├─" }, &below);
        }
    }
}

fn draw(rows: &[(String, &Phase)], namespaces: bool, now: Timestamp, look: &Look) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if look.colour {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    let titles = ["NAME", "STATE", "ATTEMPT", "SCORE", "TASKS", "WAITING FOR", "AGE"];
    table.set_header(namespaces.then_some("NAMESPACE").into_iter().chain(titles).map(Cell::new));
    for (name, phase) in rows {
        let namespace = namespaces.then(|| Cell::new(phase.metadata.namespace.as_deref().unwrap_or_default()));
        table.add_row(namespace.into_iter().chain(cells(name, phase, now)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

fn cells(name: &str, phase: &Phase, now: Timestamp) -> [Cell; 7] {
    let state = reading::state(phase);
    let summary = phase.status.as_ref().map(|status| status.summary.clone()).unwrap_or_default();
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
    let created = phase.metadata.creation_timestamp.as_ref();
    let old = created.map_or_else(|| "-".to_owned(), |created| age(now.as_second() - created.0.as_second()));
    let state_cell = Cell::new(format!("{state:?}"));
    [
        Cell::new(name),
        match colour(state) {
            Some(colour) => state_cell.fg(colour),
            None => state_cell,
        },
        Cell::new(or_dash(&summary.attempt)),
        Cell::new(or_dash(&summary.score)),
        Cell::new(or_dash(&summary.tasks)),
        Cell::new(or_dash(&summary.waiting_for)),
        Cell::new(old),
    ]
}

const fn colour(state: PhaseState) -> Option<Color> {
    match state {
        PhaseState::Passed => Some(Color::Green),
        PhaseState::Escalated | PhaseState::Failed => Some(Color::Red),
        PhaseState::AwaitingApproval | PhaseState::RolledBack => Some(Color::Yellow),
        PhaseState::Pending
        | PhaseState::Preparing
        | PhaseState::Developing
        | PhaseState::Reviewing
        | PhaseState::Backoff
        | PhaseState::RollingBack
        | PhaseState::Merging => None,
    }
}

/// A Kubernetes List, as `kubectl get -o` prints it.
pub(crate) fn list(phases: &[Phase]) -> serde_json::Value {
    serde_json::json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": phases })
}
