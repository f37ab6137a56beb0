//! What a finding is: its identity across moved lines, and its history between two judgements.
//!
//! How bad a finding is and what it costs do not belong here.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Stable id of a finding: a hash of rule, path, the text of its line with white space made even,
/// and how many findings before it share all three (design §7). It survives lines that move.
///
/// The one function for tools and reviewers. A finding without a line has an empty text.
pub fn finding_id(rule: &str, path: &str, line_text: &str, occurrence: u32) -> String {
    let mut hash = Sha256::new();
    for part in [rule, path, &even(line_text), &occurrence.to_string()] {
        // The length keeps "a" + "bc" apart from "ab" + "c".
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// White space made even: indentation and alignment are not part of what a line says.
pub(crate) fn even(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ids of the previous judgement that are gone, each once, in their order.
///
/// Where a list was cut, its findings may be there unseen: then nothing is called resolved.
pub(super) fn resolved(previous: &[String], open: &BTreeSet<&str>, lists_are_whole: bool) -> Vec<String> {
    if !lists_are_whole {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    previous.iter().filter(|id| !open.contains(id.as_str()) && seen.insert(*id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_indentation_and_differs_in_every_part() {
        let id = finding_id("B602", "gateway.py", "  run(x,\tshell=True)", 0);
        assert_eq!(id, finding_id("B602", "gateway.py", "run(x, shell=True)  ", 0));
        assert_eq!(id.len(), 32);
        for other in [
            finding_id("B603", "gateway.py", "run(x, shell=True)", 0),
            finding_id("B602", "gateway2.py", "run(x, shell=True)", 0),
            finding_id("B602", "gateway.py", "run(y, shell=True)", 0),
            finding_id("B602", "gateway.py", "run(x, shell=True)", 1),
            finding_id("B602g", "ateway.py", "run(x, shell=True)", 0),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn an_id_never_changes_between_versions() {
        assert_eq!(finding_id("B602", "gateway.py", "run(x, shell=True)", 0), "c56e564319c44f6a3832e228b53cd313");
    }

    #[test]
    fn what_is_gone_is_resolved_and_what_a_cut_list_may_hide_is_not() {
        let previous = ["a", "b", "a", "c"].map(str::to_owned);
        let open = BTreeSet::from(["b"]);
        assert_eq!(resolved(&previous, &open, true), ["a", "c"]);
        assert_eq!(resolved(&previous, &open, false), [""; 0]);
    }
}
