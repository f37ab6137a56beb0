# shellcheck shell=bash
# A phase is taken back out of main and delivered again, and one that passed is made anew. After external_line, so that
# hello-1 and hello-2 have passed. Sourced by e2e/run; HELLO is the namespace.

ROLLED=dist/rolled

rollback_line() {
  local before
  mkdir -p "$ROLLED"
  refused_first
  before=$(git_in "$HELLO" hello rev-parse 'main^{tree}')
  third_phase || give_up "the phase to be rolled back cannot be applied"
  follow "$HELLO"
  passed_phase "$HELLO" hello hello-3 phase-3-v0.3.0
  is "its file is on main" "Come back soon." "$(git_in "$HELLO" hello show main:BYE.md)"
  taken_back "$before"
  delivered_again
  adopted_again
}

# hello-2 passed on top of hello-1.
refused_first() {
  local said
  said=$(kubectl phasegate -n "$HELLO" rollback hello-1 --reason 'a try' 2>&1 || true)
  has "rolling back what another phase stands on is refused" "had no effect" "$said"
  is "hello-1 has passed as before" Passed "$(state_of "$HELLO" hello-1)"
  ok "the event names what goes first" await 60 told hello-1 "roll back hello-2"
}

# shellcheck disable=SC2317
told() { kubectl -n "$HELLO" get events --field-selector "involvedObject.name=$1" -o 'jsonpath={.items[*].message}' | grep -q "$2"; }

third_phase() {
  mkdir -p "$ROLLED/patches"
  cp "$OUTSIDE/patches/"*.patch "$ROLLED/patches/"
  cat > "$ROLLED/patches/hello-3.bye.1.patch" <<'PATCH'
diff --git a/BYE.md b/BYE.md
new file mode 100644
--- /dev/null
+++ b/BYE.md
@@ -0,0 +1 @@
+Come back soon.
PATCH
  kubectl -n "$HELLO" create configmap hello-1-patches --from-file="$ROLLED/patches" --dry-run=client -o yaml \
    | kubectl -n "$HELLO" apply --server-side --force-conflicts -f - || return 1
  hello_3 0.3.0
}

# hello_3 VERSION
hello_3() {
  kubectl -n "$HELLO" apply -f - <<YAML
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: hello-3}
spec:
  repositoryRef: {name: hello}
  number: 3
  version: $1
  dependsOn: [hello-2]
  tasks: [{name: bye, description: Say good-bye}]
YAML
}

# taken_back TREE: main's tree before.
taken_back() {
  local merge commit tag
  merge=$(field "$HELLO" phase hello-3 .status.merge.commit)
  tag=$(git_in "$HELLO" hello rev-parse phase-3-v0.3.0)
  ok "a Rollback is acted on" kubectl phasegate -n "$HELLO" rollback hello-3 --reason 'nobody should leave'
  follow "$HELLO"
  is "hello-3 is RolledBack" RolledBack "$(state_of "$HELLO" hello-3)"
  is "main's tree is what it was before" "$1" "$(git_in "$HELLO" hello rev-parse 'main^{tree}')"
  is "the tag stays" "$tag" "$(git_in "$HELLO" hello rev-parse phase-3-v0.3.0)"
  commit=$(field "$HELLO" phase hello-3 .status.rollback.reverted)
  is "main is at the commit that took it back" "$commit" "$(git_in "$HELLO" hello rev-parse main)"
  has "which says so" "Phasegate-Rollback: $merge" "$(git_in "$HELLO" hello log -1 --format=%B main)"
  has "and has a note of who and why" "Reason: nobody should leave" "$(git_in "$HELLO" hello notes --ref phasegate show main)"
  is "every blocking check ran on the revert" "$(git_in "$HELLO" hello rev-parse 'main^2')" "$(revert_checked)"
  is "it is what a person has to go on with" True \
    "$(field "$HELLO" phase hello-3 '.status.conditions[?(@.type=="Stalled")].status')"
}

# The commits that the checks of the rollback ran on.
revert_checked() {
  kubectl -n "$HELLO" get agenttasks -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.commit} {.status.outcome}{"\n"}{end}' \
    | sed -n 's/^hello-3\.rollback[^ ]* \([0-9a-f]*\) Passed$/\1/p' | sort -u
}

delivered_again() {
  hello_3 0.3.1 || give_up "the version of hello-3 cannot be raised"
  ok "hello-3 passes again" await 300 is_at hello-3 Passed
  follow "$HELLO"
  passed_phase "$HELLO" hello hello-3 phase-3-v0.3.1
  is "its file is back" "Come back soon." "$(git_in "$HELLO" hello show main:BYE.md)"
  ok "both tags are there" git_in "$HELLO" hello rev-parse phase-3-v0.3.0 phase-3-v0.3.1
  is "no developer did it again" 1 "$(developers_of hello-3)"
}

# shellcheck disable=SC2317
is_at() { [ "$(state_of "$HELLO" "$1")" = "$2" ]; }

# developers_of PHASE
developers_of() {
  kubectl -n "$HELLO" get agenttasks \
    -o 'jsonpath={range .items[?(@.spec.role=="Developer")]}{.spec.phase.name}{"\n"}{end}' | grep -cFx "$1"
}

# A Phase that is deleted and made anew has passed, with no work done.
adopted_again() {
  local main score
  main=$(git_in "$HELLO" hello rev-parse main)
  score=$(field "$HELLO" phase hello-3 .status.summary.score)
  kubectl -n "$HELLO" delete phase hello-3
  hello_3 0.3.1 || give_up "hello-3 cannot be made anew"
  ok "hello-3 made anew has passed" await 120 is_at hello-3 Passed
  is "because it was adopted" true "$(field "$HELLO" phase hello-3 .status.adopted)"
  is "with the score of its gate note" "$score" "$(field "$HELLO" phase hello-3 .status.summary.score)"
  is "and the condition says so" Adopted "$(field "$HELLO" phase hello-3 '.status.conditions[?(@.type=="Ready")].reason')"
  is "main did not move" "$main" "$(git_in "$HELLO" hello rev-parse main)"
  kubectl -n "$HELLO" delete phase hello-3
  hello_3 0.3.0 || give_up "hello-3 cannot be made anew in its first version"
  ok "made anew in the version that was taken back it is RolledBack" await 120 is_at hello-3 RolledBack
  kubectl -n "$HELLO" delete phase hello-3
  hello_3 0.3.1
  await 120 is_at hello-3 Passed
}
