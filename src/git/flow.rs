//! PURE. The names of the flow: branches, tags and private references, and how a branch joins; what merge commits
//! and tags say is in `messages`. The seed's sections "Branch Naming Convention", "Merge Strategy" and "Tag Management"
//! are the source.
//!
//! No git, no clock, no IO: a name is computed from the Phase's spec and nothing else, so that a redo computes the same.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod messages;

pub use messages::{
    Passed, base_title, completion_title, integration_title, reapply_title, rollback_title, tag_message,
};

use super::names::{InvalidName, RefName};
pub use super::ops::MergeKind;
use crate::api::PhaseSpec;

/// Longest description inside a milestone tag, in bytes.
const MAX_SLUG: usize = 60;

/// What a phase is known by in git: its number, or the name of a hotfix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Line {
    /// `spec.number`.
    Phase(u32),
    /// `spec.hotfix`.
    Hotfix(String),
}

impl Line {
    /// That of a phase.
    pub fn of(spec: &PhaseSpec) -> Self {
        let number = spec.number.and_then(|number| u32::try_from(number).ok()).map(Self::Phase);
        let hotfix = || spec.hotfix.clone().map(Self::Hotfix);
        // The schema asks for exactly one of the two.
        number.or_else(hotfix).unwrap_or(Self::Phase(0))
    }

    /// `phase-{N}-`, or `hotfix-{name}/`: what the names of its task branches start with. The slash keeps hotfix `a`
    /// with task `b-c` apart from hotfix `a-b` with task `c`.
    fn stem(&self) -> String {
        match self {
            Self::Phase(number) => format!("phase-{number}-"),
            Self::Hotfix(name) => format!("hotfix-{name}/"),
        }
    }

    /// Where the work comes together and is judged: `release/phase-{N}-v{version}`, or `hotfix/{name}`.
    pub fn release_branch(&self, version: &str) -> Result<RefName, InvalidName> {
        match self {
            Self::Phase(number) => RefName::branch(&format!("release/phase-{number}-v{version}")),
            Self::Hotfix(name) => RefName::branch(&format!("hotfix/{name}")),
        }
    }

    /// Where a task of the first attempt works: `feature/phase-{N}-{task}`.
    pub fn feature_branch(&self, task: &str) -> Result<RefName, InvalidName> {
        RefName::branch(&format!("feature/{}{task}", self.stem()))
    }

    /// Where the findings of review `review` are mended: `bugfix/phase-{N}-review-{n}`.
    pub fn bugfix_branch(&self, review: u32) -> Result<RefName, InvalidName> {
        RefName::branch(&format!("bugfix/{}review-{review}", self.stem()))
    }

    /// Where a developer merges the base branch in this attempt, because git cannot: `bugfix/phase-{N}-base-{attempt}`.
    pub fn base_merge_branch(&self, attempt: u32) -> Result<RefName, InvalidName> {
        RefName::branch(&format!("bugfix/{}base-{attempt}", self.stem()))
    }

    /// Where a person pushes a fix: `bugfix/phase-{N}-{name}`.
    pub fn fix_branch(&self, name: &str) -> Result<RefName, InvalidName> {
        RefName::branch(&format!("bugfix/{}{name}", self.stem()))
    }

    /// Where a merged version is taken back and checked: `bugfix/phase-{N}-rollback-v{version}`. To undo is to mend: it
    /// joins as a bugfix does, by a merge commit, and is archived with the phase's other branches.
    ///
    /// The version is that of the tag: `spec.version` may be another one by now.
    pub fn rollback_branch(&self, tag: &RefName) -> Result<RefName, InvalidName> {
        let before = match self {
            Self::Phase(number) => format!("phase-{number}-v"),
            Self::Hotfix(_) => "release-v".to_owned(),
        };
        let version = tag.short().strip_prefix(&before).unwrap_or(tag.short());
        RefName::branch(&format!("bugfix/{}rollback-v{version}", self.stem()))
    }

    /// Holds the key of the phase that owns the number: `refs/phasegate/claims/phase-{N}`.
    pub fn claim(&self) -> Result<RefName, InvalidName> {
        let holder = match self {
            Self::Phase(number) => format!("phase-{number}"),
            Self::Hotfix(name) => format!("hotfix-{name}"),
        };
        RefName::new(format!("refs/phasegate/claims/{holder}"))
    }

    /// Completes the phase: `phase-{N}-v{version}`. A hotfix has no number; its version is a release: `release-v{version}`.
    pub fn completion_tag(&self, version: &str) -> Result<RefName, InvalidName> {
        match self {
            Self::Phase(number) => RefName::tag(&format!("phase-{number}-v{version}")),
            Self::Hotfix(_) => release_tag(version),
        }
    }

    /// What to archive when the phase is gone, as `ArchiveRefs` takes it: its release branches of all versions, its task
    /// branches and its claim.
    pub fn owned(&self) -> Result<Vec<RefName>, InvalidName> {
        let stem = self.stem();
        let stem = stem.trim_end_matches('/');
        let release = match self {
            Self::Phase(number) => format!("release/phase-{number}-"),
            Self::Hotfix(name) => format!("hotfix/{name}"),
        };
        Ok(vec![
            RefName::branch(&release)?,
            RefName::branch(&format!("feature/{stem}"))?,
            RefName::branch(&format!("bugfix/{stem}"))?,
            self.claim()?,
        ])
    }

    /// In words: `phase 3`, `hotfix login`.
    pub fn title(&self) -> String {
        match self {
            Self::Phase(number) => format!("phase {number}"),
            Self::Hotfix(name) => format!("hotfix {name}"),
        }
    }
}

/// `release-v{version}`.
pub fn release_tag(version: &str) -> Result<RefName, InvalidName> {
    RefName::tag(&format!("release-v{version}"))
}

/// `milestone-{description}-v{version}`; the description is made into a slug, so that people may write words.
pub fn milestone_tag(description: &str, version: &str) -> Result<RefName, InvalidName> {
    let slug = slug(description);
    if slug.is_empty() {
        return Err(InvalidName::new("milestone", description, "it needs at least one letter or digit of ASCII"));
    }
    RefName::tag(&format!("milestone-{slug}-v{version}"))
}

/// The tags that a phase gets with its merge, the one that completes it first.
pub fn tags(spec: &PhaseSpec) -> Result<Vec<RefName>, InvalidName> {
    let mut names = vec![Line::of(spec).completion_tag(&spec.version)?];
    if let Some(release) = &spec.release {
        if release.tag {
            names.push(release_tag(&spec.version)?);
        }
        if let Some(milestone) = &release.milestone {
            names.push(milestone_tag(milestone, &spec.version)?);
        }
    }
    // A hotfix is completed by its release tag.
    names.dedup();
    Ok(names)
}

/// Work that ended without a submission: `refs/phasegate/wip/{task uid}/{run}`.
pub fn wip(task_uid: &str, run: u32) -> Result<RefName, InvalidName> {
    RefName::new(format!("refs/phasegate/wip/{task_uid}/{run}"))
}

/// Reports and transcripts of a run: `refs/phasegate/logs/{task uid}/{run}`.
pub fn logs(task_uid: &str, run: u32) -> Result<RefName, InvalidName> {
    RefName::new(format!("refs/phasegate/logs/{task_uid}/{run}"))
}

/// Where a reference goes whose owner is gone: `refs/phasegate/archive/{uid}/{rest of its name}`.
pub fn archived(owner_uid: &str, name: &RefName) -> Result<RefName, InvalidName> {
    let full = name.as_str();
    let rest = full.strip_prefix("refs/phasegate/").or_else(|| full.strip_prefix("refs/")).unwrap_or(full);
    RefName::new(format!("refs/phasegate/archive/{owner_uid}/{rest}"))
}

/// Days that reports, transcripts and saved work are kept (design §6).
pub const KEPT_DAYS: i64 = 30;

/// Where a merge and its tags are while they are pushed to the upstream: `refs/phasegate/push/{uid of the phase}`.
pub fn push_refs(phase_uid: &str) -> Result<RefName, InvalidName> {
    RefName::new(format!("refs/phasegate/push/{phase_uid}"))
}

/// What no developer could merge into a phase's release branch, for a person who merges by hand: no branch may hold it.
pub fn to_merge(phase_uid: &str) -> Result<RefName, InvalidName> {
    RefName::new(format!("refs/phasegate/to-merge/{phase_uid}"))
}

/// First line of the commit that joins the base branch and the upstream's.
pub fn upstream_title(base: &RefName) -> String {
    format!("Merge {} of the upstream", base.short())
}

/// Folder of the mirror of an upstream.
pub const UPSTREAM: &str = "refs/upstream/";

/// The upstream's copy of a branch: `refs/upstream/heads/{branch}`.
pub fn upstream_of(branch: &RefName) -> Result<RefName, InvalidName> {
    RefName::new(format!("{UPSTREAM}heads/{}", branch.short()))
}

/// How a branch joins: features are squashed, everything else is merged (seed, Merge Strategy).
pub fn merge_kind(branch: &RefName) -> MergeKind {
    if branch.short().starts_with("feature/") { MergeKind::Squash } else { MergeKind::Merge }
}

/// Whether a branch belongs to the flow, so that its owner can be gone (the base branch never is).
pub fn is_flow_branch(name: &RefName) -> bool {
    let flow = ["feature/", "bugfix/", "hotfix/", "release/"];
    name.as_str().strip_prefix("refs/heads/").is_some_and(|short| flow.iter().any(|kind| short.starts_with(kind)))
}

/// Whether a release branch is a hotfix's.
pub fn is_hotfix(release: &RefName) -> bool {
    release.short().starts_with("hotfix/")
}

/// Whether a tag completes the phase of this release branch. Their versions may differ, for a branch keeps its name when
/// the version is raised.
pub fn completes(tag: &RefName, release: &RefName) -> bool {
    let phase = release.short().strip_prefix("release/").and_then(|rest| rest.split_once("-v"));
    let stem = if is_hotfix(release) { Some("release") } else { phase.map(|(stem, _)| stem) };
    stem.is_some_and(|stem| tag.short().strip_prefix(stem).is_some_and(|rest| rest.starts_with("-v")))
}

/// Lower case, everything but ASCII letters and digits becomes one dash.
fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        if out.len() >= MAX_SLUG {
            break;
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn phase() -> Line {
        Line::Phase(3)
    }

    fn hotfix() -> Line {
        Line::Hotfix("login".to_owned())
    }

    #[rstest]
    #[case::feature(phase().feature_branch("mqtt-broker"), "refs/heads/feature/phase-3-mqtt-broker")]
    #[case::bugfix(phase().bugfix_branch(2), "refs/heads/bugfix/phase-3-review-2")]
    #[case::rollback(phase().rollback_branch(&phase().completion_tag("1.2.0").unwrap()), "refs/heads/bugfix/phase-3-rollback-v1.2.0")]
    #[case::hotfix_rollback(
        hotfix().rollback_branch(&hotfix().completion_tag("1.0.1").unwrap()),
        "refs/heads/bugfix/hotfix-login/rollback-v1.0.1"
    )]
    #[case::hotfix(hotfix().release_branch("1.0.1"), "refs/heads/hotfix/login")]
    #[case::release(phase().release_branch("1.2.0"), "refs/heads/release/phase-3-v1.2.0")]
    #[case::completion(phase().completion_tag("1.2.0"), "refs/tags/phase-3-v1.2.0")]
    #[case::milestone(milestone_tag("Voice Pipeline!", "1.2.0"), "refs/tags/milestone-voice-pipeline-v1.2.0")]
    #[case::release_tag(release_tag("1.2.0"), "refs/tags/release-v1.2.0")]
    #[case::hotfix_feature(hotfix().feature_branch("fix"), "refs/heads/feature/hotfix-login/fix")]
    #[case::hotfix_bugfix(hotfix().bugfix_branch(1), "refs/heads/bugfix/hotfix-login/review-1")]
    #[case::hotfix_tag(hotfix().completion_tag("1.2.1"), "refs/tags/release-v1.2.1")]
    #[case::claim(phase().claim(), "refs/phasegate/claims/phase-3")]
    #[case::hotfix_claim(hotfix().claim(), "refs/phasegate/claims/hotfix-login")]
    #[case::wip(wip("u-1", 2), "refs/phasegate/wip/u-1/2")]
    #[case::logs(logs("u-1", 2), "refs/phasegate/logs/u-1/2")]
    #[case::archive(
        archived("u-1", &RefName::branch("feature/phase-3-a").unwrap()),
        "refs/phasegate/archive/u-1/heads/feature/phase-3-a"
    )]
    #[case::archived_claim(archived("u-1", &phase().claim().unwrap()), "refs/phasegate/archive/u-1/claims/phase-3")]
    #[case::upstream(upstream_of(&RefName::branch("main").unwrap()), "refs/upstream/heads/main")]
    fn every_name_is_the_seeds(#[case] name: Result<RefName, InvalidName>, #[case] expected: &str) {
        assert_eq!(name.unwrap().as_str(), expected);
    }

    #[rstest]
    #[case("feature/phase-3-mqtt", MergeKind::Squash)]
    #[case("bugfix/phase-3-review-1", MergeKind::Merge)]
    #[case("hotfix/login", MergeKind::Merge)]
    #[case("release/phase-3-v1.0.0", MergeKind::Merge)]
    fn features_are_squashed_and_the_rest_is_merged(#[case] branch: &str, #[case] kind: MergeKind) {
        assert_eq!(merge_kind(&RefName::branch(branch).unwrap()), kind);
    }

    #[rstest]
    #[case("refs/heads/feature/phase-1-a", true)]
    #[case("refs/heads/bugfix/phase-1-review-1", true)]
    #[case("refs/heads/hotfix/login", true)]
    #[case("refs/heads/release/phase-1-v1", true)]
    #[case("refs/heads/main", false)]
    #[case("refs/heads/features/x", false)]
    #[case("refs/tags/feature/x", false)]
    #[case("refs/notes/phasegate", false)]
    fn the_base_branch_is_no_branch_of_the_flow(#[case] name: &str, #[case] flow: bool) {
        assert_eq!(is_flow_branch(&RefName::new(name).unwrap()), flow);
    }

    #[rstest]
    #[case(phase().release_branch("1..0"))]
    #[case(phase().completion_tag("1 0"))]
    #[case(phase().feature_branch("a:b"))]
    #[case(milestone_tag("!!!", "1.0.0"))]
    fn a_name_git_would_refuse_is_refused_here(#[case] name: Result<RefName, InvalidName>) {
        assert!(name.is_err());
    }

    #[rstest]
    #[case("phase-1-v1.0.0", "release/phase-1-v1.0.0", true)]
    #[case("phase-1-v1.0.1", "release/phase-1-v1.0.0", true)]
    #[case("phase-11-v1.0.0", "release/phase-1-v1.0.0", false)]
    #[case("release-v1.0.0", "release/phase-1-v1.0.0", false)]
    #[case("release-v1.0.0", "hotfix/login", true)]
    #[case("milestone-a-v1.0.0", "hotfix/login", false)]
    #[case("phase-1-v1.0.0", "hotfix/login", false)]
    fn a_tag_completes_the_phase_of_its_branch(#[case] tag: &str, #[case] release: &str, #[case] expected: bool) {
        assert_eq!(completes(&RefName::tag(tag).unwrap(), &RefName::branch(release).unwrap()), expected);
    }

    #[test]
    fn what_a_phase_owns_is_named_by_prefixes_that_touch_no_other_phase() {
        let names = |line: Line| line.owned().unwrap().into_iter().map(String::from).collect::<Vec<_>>();
        assert_eq!(
            names(Line::Phase(1)),
            [
                "refs/heads/release/phase-1-",
                "refs/heads/feature/phase-1-",
                "refs/heads/bugfix/phase-1-",
                "refs/phasegate/claims/phase-1"
            ]
        );
        assert_eq!(
            names(hotfix()),
            [
                "refs/heads/hotfix/login",
                "refs/heads/feature/hotfix-login",
                "refs/heads/bugfix/hotfix-login",
                "refs/phasegate/claims/hotfix-login"
            ]
        );
    }

    #[test]
    fn a_slug_of_a_slug_is_the_same_slug() {
        for text in ["Voice Pipeline", "a--b", "--x--", &"long ".repeat(50)] {
            assert_eq!(slug(&slug(text)), slug(text));
        }
    }
}
