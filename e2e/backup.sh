# shellcheck shell=bash
# A backup of the running git service, a repository that is lost, and what a restore makes of it. Sourced by e2e/run;
# goes on with hotfix_line.

backup_line() {
  local before archive=dist/backup.tar
  before=$(git_in "$HOTFIX" hello for-each-ref)
  ok "a backup is taken of the running service" backup_to "$archive"
  has "it is a tar archive of bundles" "$HOTFIX/hello.bundle" "$(tar -tf "$archive")"
  has "whose sums hold" OK "$(cd dist && rm -rf bundles && mkdir bundles && tar -xf backup.tar -C bundles && cd bundles && sha256sum -c SHA256SUMS)"
  has "and which git alone can open" refs/heads/main "$(git bundle list-heads "dist/bundles/$HOTFIX/hello.bundle")"
  has "what is there is not overwritten" "it is there already" "$(restore_from "$archive" "$HOTFIX/hello" 2>&1 || true)"
  head -c $(($(stat -c %s "$archive") / 2)) "$archive" > dist/cut.tar
  has "a file that was cut is refused" "the backup cannot be used" "$(restore_from dist/cut.tar --replace "$HOTFIX/hello" 2>&1 || true)"
  is "and nothing has changed" "$before" "$(git_in "$HOTFIX" hello for-each-ref)"
  ok "the repository is lost" in_git_pod rm -rf "/var/lib/phasegate/git/$HOTFIX/hello.git"
  # The operator may have made an empty one by now.
  ok "and restored" restore_from "$archive" --replace "$HOTFIX/hello"
  is "reference by reference" "$before" "$(git_in "$HOTFIX" hello for-each-ref)"
  is "the repository is whole" "" "$(git_in "$HOTFIX" hello fsck --strict 2>&1 | grep -v '^notice\|^dangling' || true)"
  # What is delivered next stands on what was restored.
  hotfix after 0.1.3 || give_up "the hotfix after the restore cannot be applied"
  ok "a hotfix passes on top of it" await 300 hotfix_is_at after Passed
  passed_phase "$HOTFIX" hello after release-v0.1.3
}

in_git_pod() { kubectl -n "$SYSTEM" exec statefulset/phasegate-git -- "$@"; }
backup_to() { in_git_pod phasegate backup > "$1"; }

# restore_from FILE ARGUMENTS...
restore_from() {
  local file=$1
  shift
  kubectl -n "$SYSTEM" exec -i statefulset/phasegate-git -- phasegate restore "$@" < "$file"
}
