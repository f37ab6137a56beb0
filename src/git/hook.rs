//! The pre-receive hook: the last word on every push.
//!
//! The service decides what a request may push and hands it to git's environment; this script compares. It stands on the
//! volume in a folder of the service's own, so that no repository can bring hooks.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Variable with what may be pushed: names, or folders that end with a slash, with spaces between.
pub(super) const ALLOWED: &str = "PHASEGATE_ALLOWED_REFS";
/// Variable with who pushes, and why something is closed.
pub(super) const CALLER: &str = "PHASEGATE_CALLER";
/// Variable that is `yes` if a person pushes: then only fixes, and no branch of the flow's own.
pub(super) const PERSON: &str = "PHASEGATE_PERSON";

const SCRIPT: &str = r#"#!/bin/sh
# Written by phasegate at every start. Refuses what the service did not allow for this request.
set -uf
count=0
# Whether a person may push the branch: bugfix/phase-{N}-{name} or bugfix/hotfix-{name}/{name}, but not the branches that
# the operator hands to tasks.
fix() {
  rest=${1#refs/heads/bugfix/}
  case $rest in
    phase-*-?*) rest=${rest#phase-}; line=${rest%%-*}; name=${rest#*-}; case $line in ''|*[!0-9]*) return 1 ;; esac ;;
    hotfix-?*/?*) name=${rest#*/} ;;
    *) return 1 ;;
  esac
  case $name in review-*|rollback-*|base-*) return 1 ;; esac
}
while read -r _ new ref; do
  case $new:$ref in
    *[!0]*:*) ;;
    *:refs/upstream/*) ;; # A mirror forgets what its upstream has forgotten.
    *) echo "phasegate: $ref cannot be deleted by a push" >&2; exit 1 ;;
  esac
  case $ref in
    refs/upstream/*) ;; # A mirror has as many as there are.
    *) count=$((count + 1)) ;;
  esac
  if [ "$count" -gt 16 ]; then
    echo "phasegate: a push may move at most 16 references" >&2; exit 1
  fi
  found=no
  for allowed in ${PHASEGATE_ALLOWED_REFS-}; do
    case $allowed in
      refs/phasegate/*/) # One reference for each run, and nothing below it.
        run=${ref#"$allowed"}
        case $run in "$ref" | '' | 0* | *[!0-9]* | ?????*) ;; *) found=yes ;; esac ;;
      */) case $ref in "$allowed"?*) found=yes ;; esac ;;
      *) [ "$ref" = "$allowed" ] && found=yes ;;
    esac
  done
  if [ "${PHASEGATE_PERSON-no}" = yes ] && { [ "$found" = no ] || ! fix "$ref"; }; then
    echo "phasegate: $ref is not for people to push: push fixes to bugfix/phase-{N}-{name} or bugfix/hotfix-{hotfix}/{name}," \
      "where {name} does not start with review-, rollback- or base-; main, tags and releases are the operator's" >&2
    exit 1
  fi
  if [ "$found" = no ]; then
    echo "phasegate: $ref is not for ${PHASEGATE_CALLER-this caller}; allowed: ${PHASEGATE_ALLOWED_REFS-nothing}" >&2
    exit 1
  fi
done
exit 0
"#;

/// Writes the hook below `root`; the folder for `core.hooksPath`.
pub(super) fn install(root: &Path) -> io::Result<PathBuf> {
    let folder = root.join(".hooks");
    std::fs::create_dir_all(&folder)?;
    let unfinished = folder.join("pre-receive.new");
    std::fs::write(&unfinished, SCRIPT)?;
    std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(&unfinished, folder.join("pre-receive"))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use rstest::rstest;

    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const ONE: &str = "0123456789012345678901234567890123456789";

    fn passes(allowed: &str, lines: &str) -> bool {
        let root = tempfile::tempdir().unwrap();
        let hook = install(root.path()).unwrap().join("pre-receive");
        // By its shell: another thread that forks may still hold the file open for writing, and then it cannot be executed.
        let mut child = Command::new("sh")
            .arg(hook)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env(ALLOWED, allowed)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }

    #[rstest]
    #[case("refs/heads/feature/a", true)]
    #[case("refs/heads/feature/a/b", false)]
    #[case("refs/heads/feature/ab", false)]
    #[case("refs/heads/main", false)]
    #[case("refs/tags/v1", false)]
    #[case("refs/notes/phasegate", false)]
    #[case("refs/phasegate/logs/t/1", true)]
    #[case("refs/phasegate/logs/t/9999", true)]
    #[case("refs/phasegate/logs/t/1/x", false)]
    #[case("refs/phasegate/logs/t/x", false)]
    #[case("refs/phasegate/logs/t/01", false)]
    #[case("refs/phasegate/logs/t/10000", false)]
    #[case("refs/phasegate/logs/t2/1", false)]
    #[case("refs/phasegate/logs/t", false)]
    #[case("HEAD", false)]
    fn only_what_was_allowed_passes(#[case] name: &str, #[case] allowed: bool) {
        let line = format!("{ZERO} {ONE} {name}\n");
        assert_eq!(passes("refs/heads/feature/a refs/phasegate/logs/t/", &line), allowed);
    }

    #[test]
    fn a_deletion_never_passes() {
        assert!(!passes("refs/heads/a", &format!("{ONE} {ZERO} refs/heads/a\n")));
        assert!(!passes("refs/heads/a refs/upstream/", &format!("{ONE} {ZERO} refs/heads/a\n")));
    }

    #[test]
    fn a_mirror_forgets_what_its_upstream_has_forgotten_and_nobody_else_does() {
        let line = format!("{ONE} {ZERO} refs/upstream/heads/a\n");
        assert!(passes("refs/upstream/", &line));
        assert!(!passes("refs/heads/a", &line));
    }

    #[test]
    fn one_refused_name_refuses_the_whole_push() {
        let lines = format!("{ZERO} {ONE} refs/heads/a\n{ZERO} {ONE} refs/heads/main\n");
        assert!(!passes("refs/heads/a", &lines));
    }

    #[test]
    fn a_flood_of_names_is_refused_but_for_mirrors() {
        let line = |n| format!("{ZERO} {ONE} refs/phasegate/logs/t/{n}\n");
        let lines = |count: u32| (1..=count).map(line).collect::<Vec<_>>().concat();
        assert!(passes("refs/phasegate/logs/t/", &lines(16)));
        assert!(!passes("refs/phasegate/logs/t/", &lines(17)));
        assert!(passes("refs/upstream/", &lines(3000).replace("phasegate/logs/t", "upstream/heads")));
    }

    #[test]
    fn a_star_in_what_is_allowed_is_no_pattern() {
        assert!(!passes("refs/heads/*", &format!("{ZERO} {ONE} refs/heads/main\n")));
        assert!(!passes("", &format!("{ZERO} {ONE} refs/heads/main\n")));
    }
}
