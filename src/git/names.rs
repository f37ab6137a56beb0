//! Names and ids that cross a boundary: object ids, reference names, repositories.
//!
//! A value of these types has been checked, so code behind them need not ask again. No IO, no git process,
//! and no knowledge of which names the flow uses (that is `flow.rs`).

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};

/// Longest reference name, in bytes. Git itself has no limit; files of the reference store have one.
const MAX_REF: usize = 512;
/// Longest part between two slashes, in bytes: a file name is at most 255, and git adds `.lock` to it.
const MAX_REF_PART: usize = 200;

/// A name or id that breaks its rules. The text names the value and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {value:?}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self { what, value: value.chars().take(120).collect(), rule }
    }
}

/// A checked string: construction, serde, display and comparison in one place.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `value`; the error names the rule it breaks.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                $check(&value)?;
                Ok(Self(value))
            }

            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

checked! {
    /// The id of a commit: 40 lower-case hexadecimal digits.
    CommitId, check_commit
}
checked! {
    /// The id of a tree: 40 lower-case hexadecimal digits.
    TreeId, check_tree
}
checked! {
    /// A full reference name such as `refs/heads/main`, valid by the rules of git-check-ref-format(1).
    RefName, check_ref
}

impl RefName {
    /// The reference of a branch, from its short name (`main`) or its full one.
    pub fn branch(name: &str) -> Result<Self, InvalidName> {
        Self::under("refs/heads/", name)
    }

    /// The reference of a tag, from its short name or its full one.
    pub fn tag(name: &str) -> Result<Self, InvalidName> {
        Self::under("refs/tags/", name)
    }

    fn under(prefix: &str, name: &str) -> Result<Self, InvalidName> {
        if name.starts_with(prefix) { Self::new(name) } else { Self::new(format!("{prefix}{name}")) }
    }

    /// What people call it: `main` for `refs/heads/main`; a name outside branches and tags stays whole.
    pub fn short(&self) -> &str {
        let full = self.as_str();
        full.strip_prefix("refs/heads/").or_else(|| full.strip_prefix("refs/tags/")).unwrap_or(full)
    }
}

/// What a reader may ask about: a commit by id, or whatever a reference points to now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rev {
    /// This commit.
    Commit(CommitId),
    /// The commit at this reference (annotated tags are peeled).
    Ref(RefName),
}

impl Rev {
    /// The text git takes for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Commit(id) => id.as_str(),
            Self::Ref(name) => name.as_str(),
        }
    }
}

impl From<CommitId> for Rev {
    fn from(id: CommitId) -> Self {
        Self::Commit(id)
    }
}

impl From<RefName> for Rev {
    fn from(name: RefName) -> Self {
        Self::Ref(name)
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A repository by the namespace and name of its `Repository` object; also its place on the volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId {
    namespace: String,
    name: String,
}

impl RepositoryId {
    /// Checks both by the rules of Kubernetes names (a label, a DNS subdomain), which leave no way out of
    /// the folder they are joined to.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidName> {
        check_dns("namespace", namespace, 63, false)?;
        check_dns("repository", name, 200, true)?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The namespace of the `Repository`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the `Repository`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn check_commit(value: &str) -> Result<(), InvalidName> {
    check_hex("commit id", value)
}

fn check_tree(value: &str) -> Result<(), InvalidName> {
    check_hex("tree id", value)
}

fn check_hex(what: &'static str, value: &str) -> Result<(), InvalidName> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if value.len() == 40 && value.bytes().all(hex) {
        Ok(())
    } else {
        Err(InvalidName::new(what, value, "it must be 40 lower-case hexadecimal digits"))
    }
}

fn check_dns(what: &'static str, value: &str, longest: usize, dots: bool) -> Result<(), InvalidName> {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(edge)
            && bytes.last().copied().is_some_and(edge)
            && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
    };
    if value.len() > longest {
        return Err(InvalidName::new(what, value, "it is too long"));
    }
    let fits = if dots { value.split('.').all(part) } else { part(value) };
    if fits {
        Ok(())
    } else {
        Err(InvalidName::new(what, value, "it must be lower-case letters, digits and inner dashes"))
    }
}

/// The rules of git-check-ref-format(1), in its order, after our own: it starts with `refs/` and fits a file name.
fn check_ref(value: &str) -> Result<(), InvalidName> {
    let fail = |rule| Err(InvalidName::new("reference", value, rule));
    if !value.starts_with("refs/") {
        return fail("it must start with refs/");
    }
    if value.len() > MAX_REF || value.split('/').any(|part| part.len() > MAX_REF_PART) {
        return fail("it is too long");
    }
    if value.split('/').any(|part| part.starts_with('.') || part.strip_suffix(".lock").is_some()) {
        return fail("no part may start with a dot or end with .lock");
    }
    if value.contains("..") {
        return fail("it must not contain two dots in a row");
    }
    if value.chars().any(|c| c.is_ascii_control() || " ~^:?*[\\".contains(c)) {
        return fail("it must not contain spaces, control characters or any of ~ ^ : ? * [ \\");
    }
    if value.split('/').any(str::is_empty) {
        return fail("it must not end with a slash or contain two in a row");
    }
    if value.ends_with('.') {
        return fail("it must not end with a dot");
    }
    if value.contains("@{") {
        return fail("it must not contain @{");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("refs/heads/main", true)]
    #[case("refs/heads/feature/phase-1-mqtt", true)]
    #[case("refs/heads/-x", true)]
    #[case("refs/heads/@", true)]
    #[case("refs/heads/ünï", true)]
    #[case("refs/heads/../main", false)]
    #[case("refs/heads/a..b", false)]
    #[case("refs/heads/.a", false)]
    #[case("refs/heads/a.lock", false)]
    #[case("refs/heads/a.lock/b", false)]
    #[case("refs/heads/a.", false)]
    #[case("refs/heads/a/", false)]
    #[case("refs/heads//a", false)]
    #[case("refs/heads/a b", false)]
    #[case("refs/heads/a\nb", false)]
    #[case("refs/heads/a\\b", false)]
    #[case("refs/heads/a@{b", false)]
    #[case("refs/heads/a*", false)]
    #[case("refs/", false)]
    #[case("main", false)]
    #[case("HEAD", false)]
    #[case("--upload-pack=x", false)]
    fn a_reference_follows_the_rules_of_git(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(RefName::new(name).is_ok(), valid);
    }

    #[test]
    fn a_reference_that_fits_no_file_name_is_refused() {
        assert!(RefName::new(format!("refs/heads/{}", "a".repeat(200))).is_ok());
        assert!(RefName::new(format!("refs/heads/{}", "a".repeat(201))).is_err());
        assert!(RefName::new(format!("refs/heads{}", "/abcdefgh".repeat(60))).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn git_agrees_about_every_reference(tail in "[a-c./@{~^:?* \\\\-]{1,8}") {
            let name = format!("refs/heads/{tail}");
            let git = Command::new("git").args(["check-ref-format", &name]).status().unwrap().success();
            prop_assert_eq!(RefName::new(name).is_ok(), git);
        }
    }

    #[rstest]
    #[case("team", "hello", true)]
    #[case("team", "hello.world", true)]
    #[case("team-1", "a", true)]
    #[case("te.am", "hello", false)]
    #[case("..", "hello", false)]
    #[case("team", "..", false)]
    #[case("team", "a/../b", false)]
    #[case("team", ".hidden", false)]
    #[case("team", "-o", false)]
    #[case("team", "Hello", false)]
    #[case("team", "", false)]
    #[case("", "hello", false)]
    #[case("team", "a%2e", false)]
    fn a_repository_cannot_leave_its_folder(#[case] namespace: &str, #[case] name: &str, #[case] valid: bool) {
        assert_eq!(RepositoryId::new(namespace, name).is_ok(), valid);
    }

    #[test]
    fn ids_are_checked_when_they_are_read_from_json() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(serde_json::from_str::<CommitId>(&format!("{id:?}")).unwrap().as_str(), id);
        for bad in ["main", "0123", "0123456789ABCDEF0123456789abcdef01234567", "--help"] {
            let error = serde_json::from_str::<CommitId>(&format!("{bad:?}")).unwrap_err();
            assert!(error.to_string().contains("40 lower-case"), "{error}");
        }
    }

    #[test]
    fn a_rev_is_a_commit_or_a_reference_and_nothing_else() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert!(matches!(serde_json::from_str(&format!("{id:?}")), Ok(Rev::Commit(_))));
        assert!(matches!(serde_json::from_str("\"refs/heads/main\""), Ok(Rev::Ref(_))));
        assert!(serde_json::from_str::<Rev>("\"main^{tree}\"").is_err());
    }

    #[test]
    fn short_names_and_full_ones_mean_the_same_branch() {
        assert_eq!(RefName::branch("main").unwrap(), RefName::branch("refs/heads/main").unwrap());
        assert_eq!(RefName::branch("main").unwrap().short(), "main");
        assert_eq!(RefName::tag("v1").unwrap().as_str(), "refs/tags/v1");
        assert_eq!(RefName::new("refs/notes/phasegate").unwrap().short(), "refs/notes/phasegate");
    }
}
