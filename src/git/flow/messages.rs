//! What merge commits and tags say.

use super::{Line, MergeKind, merge_kind};
use crate::git::names::RefName;

/// Longest first line of a commit message, in characters.
const MAX_TITLE: usize = 100;

/// First line for a task's integration: what the task is called, or how its branch joined.
pub fn integration_title(branch: &RefName, description: &str) -> String {
    match merge_kind(branch) {
        MergeKind::Squash => title(&format!("{}: {description}", branch.short().trim_start_matches("feature/"))),
        MergeKind::Merge => title(&format!("Merge {}: {description}", branch.short())),
    }
}

/// First line when the base branch comes into the release branch.
pub fn base_title(base: &RefName, release: &RefName) -> String {
    title(&format!("Merge {} into {}", base.short(), release.short()))
}

/// First line of the merge commit that completes a phase.
pub fn completion_title(line: &Line, version: &str, objective: &str) -> String {
    let head = format!("Merge {} v{version}", line.title());
    if objective.trim().is_empty() { title(&head) } else { title(&format!("{head}: {objective}")) }
}

/// First line of the revert of a phase, and of the merge commit that brings it to the base branch.
pub fn rollback_title(tag: &str, merged: bool) -> String {
    if merged { title(&format!("Merge the rollback of {tag}")) } else { title(&format!("Revert {tag}")) }
}

/// First line of the commit that a release branch starts with after a rollback.
pub fn reapply_title(tag: &str) -> String {
    title(&format!("Reapply {tag}"))
}

/// What tags and gate notes say of the judgement that let a phase merge. A text that is empty is left out.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    /// Name of the ReviewResult.
    pub review: &'a str,
    /// Its score, such as `9.61`.
    pub score: &'a str,
    /// The reviewed commit: the second parent of the merge.
    pub commit: &'a str,
    /// Its tree, which is that of the merge.
    pub tree: &'a str,
    /// Digest of the ReviewResult's spec.
    pub evidence: &'a str,
}

impl Passed<'_> {
    /// As trailers (git-interpret-trailers(1)), one a line.
    pub fn trailers(&self) -> String {
        let Self { review, score, commit, tree, evidence } = *self;
        let all = [("Review", review), ("Score", score), ("Commit", commit), ("Tree", tree), ("Evidence", evidence)];
        let known = all.into_iter().filter(|(_, value)| !value.is_empty());
        known.flat_map(|(key, value)| [key, ": ", value, "\n"]).collect()
    }
}

/// Message of an annotated tag.
pub fn tag_message(line: &Line, version: &str, phase: &str, passed: &Passed<'_>) -> String {
    let score = if passed.score.is_empty() { String::new() } else { format!(" with {}", passed.score) };
    format!("{} v{version}\n\nPhase {phase} passed its gate{score}.\n\n{}", line.title(), passed.trailers())
}

/// One line, cut at a word where there is one.
fn title(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_TITLE {
        return line;
    }
    let cut: String = line.chars().take(MAX_TITLE - 1).collect();
    let kept = cut.rfind(' ').filter(|&at| at > MAX_TITLE / 2).map_or(cut.as_str(), |at| &cut[..at]);
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_and_tag_messages_say_what_happened() {
        let branch = |name| RefName::branch(name).unwrap();
        assert_eq!(
            integration_title(&branch("feature/phase-3-mqtt"), "Set up the\nbroker"),
            "phase-3-mqtt: Set up the broker"
        );
        assert_eq!(
            integration_title(&branch("bugfix/phase-3-review-1"), "address findings"),
            "Merge bugfix/phase-3-review-1: address findings"
        );
        assert_eq!(
            base_title(&branch("main"), &branch("release/phase-3-v1.0.0")),
            "Merge main into release/phase-3-v1.0.0"
        );
        assert_eq!(completion_title(&Line::Phase(3), "1.0.0", "Devices"), "Merge phase 3 v1.0.0: Devices");
        assert_eq!(rollback_title("phase-3-v1.0.0", false), "Revert phase-3-v1.0.0");
        assert_eq!(rollback_title("phase-3-v1.0.0", true), "Merge the rollback of phase-3-v1.0.0");
        assert_eq!(reapply_title("phase-3-v1.0.0"), "Reapply phase-3-v1.0.0");
        assert_eq!(completion_title(&Line::Hotfix("login".to_owned()), "1.0.1", " "), "Merge hotfix login v1.0.1");
    }

    #[test]
    fn a_long_title_is_cut_at_a_word() {
        let cut = completion_title(&Line::Phase(3), "1.0.0", &"Wörter ".repeat(40));
        assert!(cut.chars().count() <= MAX_TITLE, "{cut}");
        assert!(cut.ends_with("Wörter…"), "{cut}");
    }

    #[test]
    fn a_tag_ends_with_trailers_that_lead_to_the_evidence() {
        let passed = Passed { review: "alicia-3-r1-2", score: "9.61", commit: "c0", tree: "t0", evidence: "sha256:5e" };
        let trailers = "Review: alicia-3-r1-2\nScore: 9.61\nCommit: c0\nTree: t0\nEvidence: sha256:5e\n";
        assert_eq!(
            tag_message(&Line::Phase(3), "1.0.0", "alicia-3", &passed),
            format!("phase 3 v1.0.0\n\nPhase alicia-3 passed its gate with 9.61.\n\n{trailers}")
        );
        let unknown = Passed { score: "", evidence: "", ..passed };
        assert_eq!(
            tag_message(&Line::Hotfix("login".to_owned()), "1.0.1", "login", &unknown),
            "hotfix login v1.0.1\n\nPhase login passed its gate.\n\nReview: alicia-3-r1-2\nCommit: c0\nTree: t0\n"
        );
    }
}
