//! Signs as they are recorded: each kind in words, with a stable id, as many as fit.

use std::collections::{HashMap, HashSet};

use crate::{
    api::evidence::{GamingSign, GamingSignType},
    review::{cut, finding_id},
};

/// Most signs of one judgement.
pub const MAX_SIGNS: usize = 100;
/// Most bytes that they may take together.
const MAX_BYTES: usize = 100 * 1024;

/// A sign before it has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) kind: GamingSignType,
    pub(super) path: String,
    pub(super) line: u32,
    /// With its `+` or `-`; empty if no line shows it.
    pub(super) text: String,
    pub(super) message: String,
}

/// The signs in a diff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Those that are listed, by kind and place.
    pub signs: Vec<GamingSign>,
    /// How many there are.
    pub total: u64,
    /// There are more than are listed.
    pub truncated: bool,
}

/// A path or message without what could command a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn word(kind: GamingSignType) -> &'static str {
    match kind {
        GamingSignType::ProtectedPathChanged => "ProtectedPathChanged",
        GamingSignType::FewerTests => "FewerTests",
        GamingSignType::TestSkipped => "TestSkipped",
        GamingSignType::AssertionDeleted => "AssertionDeleted",
        GamingSignType::AssertionWeakened => "AssertionWeakened",
        GamingSignType::SuppressionAdded => "SuppressionAdded",
    }
}

/// Gives ids and lists as many as fit. Those that were accepted give way to the others, so that none passes unseen.
pub(super) fn listed(mut signs: Vec<Sign>, accepted: &HashSet<&str>) -> Signs {
    signs.sort_by(|a, b| (a.kind, &a.path, a.line, &a.text).cmp(&(b.kind, &b.path, b.line, &b.text)));
    let total = signs.len();
    let mut seen: HashMap<(GamingSignType, String, String), u32> = HashMap::new();
    // Fair to every kind: a flood of one does not hide another.
    let mut of_kind: HashMap<(GamingSignType, bool), usize> = HashMap::new();
    let mut ranked: Vec<(bool, usize, GamingSign)> = Vec::new();
    for sign in signs {
        let occurrence = seen.entry((sign.kind, sign.path.clone(), sign.text.clone())).or_default();
        let id = finding_id(word(sign.kind), &sign.path, &sign.text, *occurrence);
        *occurrence += 1;
        let is_accepted = accepted.contains(id.as_str());
        let rank = of_kind.entry((sign.kind, is_accepted)).or_default();
        ranked.push((is_accepted, *rank, recorded(id, &sign)));
        *rank += 1;
    }
    ranked.sort_by_key(|(is_accepted, rank, _)| (*is_accepted, *rank));
    let mut room = MAX_BYTES;
    let fits = |(_, _, sign): &(bool, usize, GamingSign)| {
        let weight = serde_json::to_vec(sign).map_or(usize::MAX, |json| json.len());
        let fits = weight <= room;
        room = room.saturating_sub(weight);
        fits
    };
    let mut signs: Vec<GamingSign> =
        ranked.into_iter().take(MAX_SIGNS).take_while(fits).map(|(_, _, sign)| sign).collect();
    signs.sort_by(|a, b| (a.kind, &a.path, a.line).cmp(&(b.kind, &b.path, b.line)));
    let hidden = total - signs.len();
    if let Some(last) = signs.last_mut().filter(|_| hidden > 0) {
        last.message = cut(&format!("{}; {hidden} more signs are not listed", last.message), 600);
    }
    Signs { signs, total: u64::try_from(total).unwrap_or(u64::MAX), truncated: hidden > 0 }
}

fn recorded(id: String, sign: &Sign) -> GamingSign {
    GamingSign {
        id,
        kind: sign.kind,
        path: cut(&plain(&sign.path), 512),
        line: i32::try_from(sign.line).unwrap_or(i32::MAX),
        text: cut(&sign.text, 300),
        message: cut(&plain(&sign.message), 600),
    }
}
