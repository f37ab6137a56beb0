# shellcheck shell=bash
# People clone with the rights that RBAC gives them, and one brings a fix that is gated. Sourced by e2e/run after external_line;
# PEOPLE is the namespace, with a lead `fixer` and a viewer `reader`.

BY_HAND=dist/by-hand

people_line() {
  rm -rf "$BY_HAND"
  mkdir -p "$BY_HAND"
  people_phase || give_up "the phase that needs a person cannot be applied"
  follow "$PEOPLE"
  is "fix-1 has spent its attempts" "Escalated AttemptsExhausted" \
    "$(kubectl -n "$PEOPLE" get phase fix-1 -o 'jsonpath={.status.state} {.status.escalation.reason}')"
  strangers
  readers
  fixer
  with_a_key
}

# clone ACCOUNT DIR: as that service account; what it says.
clone() { kubectl phasegate -n "$PEOPLE" clone --service-account "$1" fix "$BY_HAND/$2" 2>&1; }

# in_clone DIR ACCOUNT GIT ARGUMENTS...: what git says.
in_clone() {
  local dir=$BY_HAND/$1 account=$2
  shift 2
  (cd "$dir" && kubectl phasegate git --service-account "$account" "$@" 2>&1)
}

strangers() {
  has "who has no rights there is told that nothing is there" "there is no repository $PEOPLE/fix, or system:serviceaccount:$PEOPLE:nobody may not read it" \
    "$(clone nobody nobody || true)"
  has "and the same of what is not there" "there is no repository $PEOPLE/none, or system:serviceaccount:$PEOPLE:nobody may not read it" \
    "$(kubectl phasegate -n "$PEOPLE" clone --service-account nobody none "$BY_HAND/none" 2>&1 || true)"
  has "a kubeconfig with a certificate has no token to show" "name a service account" \
    "$(kubectl phasegate -n "$PEOPLE" clone fix "$BY_HAND/none" 2>&1 || true)"
}

readers() {
  clone reader reader > /dev/null || true
  is "a viewer clones main" "$(git_in "$PEOPLE" fix rev-parse main)" "$(git -C "$BY_HAND/reader" rev-parse HEAD)"
  is "and the release branch" "$(git_in "$PEOPLE" fix rev-parse release/phase-1-v0.1.0)" \
    "$(git -C "$BY_HAND/reader" rev-parse origin/release/phase-1-v0.1.0)"
  none "no private reference is seen" private_refs
  has "a viewer does not push" "may read repository $PEOPLE/fix and not push to it" \
    "$(in_clone reader reader push origin HEAD:bugfix/phase-1-by-hand || true)"
  none "the clone keeps no token" kept_tokens
}

# shellcheck disable=SC2317
private_refs() {
  local all
  all=$(in_clone reader reader ls-remote) && grep -q refs/heads/main <<< "$all" && sed -n '/refs\/phasegate/p; /refs\/upstream/p' <<< "$all"
}

# Tokens of service accounts begin so.
# shellcheck disable=SC2317
kept_tokens() { grep -rlF eyJ "$BY_HAND/reader/.git" || [ $? = 1 ]; }

fixer() {
  local before commit name
  clone fixer fixer > /dev/null || true
  git -C "$BY_HAND/fixer" checkout -q -b by-hand origin/release/phase-1-v0.1.0
  echo right > "$BY_HAND/fixer/it.txt"
  git -C "$BY_HAND/fixer" -c user.name=Fixer -c user.email=fixer@example.com commit -qam "By hand"
  before=$(git_in "$PEOPLE" fix for-each-ref)
  # None of the names is one that git itself would refuse as not fast-forward: it is the service that is asked.
  for name in main release/phase-1-v0.1.0 feature/phase-1-by-hand bugfix/phase-1-review-1 bugfix/phase-1-rollback-v0.1.0; do
    has "a lead does not push $name" "is not for people to push" "$(in_clone fixer fixer push origin "+HEAD:refs/heads/$name" || true)"
  done
  has "nor a tag" "is not for people to push" "$(in_clone fixer fixer push origin HEAD:refs/tags/phase-1-v0.1.0 || true)"
  is "and nothing has moved" "$before" "$(git_in "$PEOPLE" fix for-each-ref)"
  ok "a lead pushes a fix" in_clone fixer fixer push origin HEAD:bugfix/phase-1-by-hand
  commit=$(git -C "$BY_HAND/fixer" rev-parse HEAD)
  ok "and has it gated" kubectl phasegate -n "$PEOPLE" retry fix-1 --commit "$commit" --note 'by hand'
  follow "$PEOPLE"
  passed_phase "$PEOPLE" fix fix-1 phase-1-v0.1.0
  is "what is merged is the fix" right "$(git_in "$PEOPLE" fix show main:it.txt)"
  ok "fetch shows the merge" in_clone fixer fixer fetch origin
  is "main in the clone is main" "$(git_in "$PEOPLE" fix rev-parse main)" "$(git -C "$BY_HAND/fixer" rev-parse origin/main)"
}

# The key that external_line made is for namespace HELLO.
with_a_key() {
  ok "an API key clones" env PHASEGATE_TOKEN="$KEY" kubectl phasegate -n "$HELLO" clone hello "$BY_HAND/key"
  has "and opens no other namespace" "there is no repository $PEOPLE/fix" \
    "$(PHASEGATE_TOKEN=$KEY kubectl phasegate -n "$PEOPLE" clone fix "$BY_HAND/other" 2>&1 || true)"
}

people_phase() {
  local account
  for account in fixer reader nobody; do kubectl -n "$PEOPLE" create serviceaccount "$account" || return 1; done
  kubectl -n "$PEOPLE" apply -f - <<YAML
apiVersion: v1
kind: PodTemplate
metadata: {name: wrong}
template:
  spec:
    containers:
      - name: agent
        image: $TOOLS
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'date > it.txt; date +%N > wrong-again.txt']
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: fix}
spec:
  checks: [{name: test, image: "$TOOLS", script: grep -q right it.txt}]
  agents: {developer: {podTemplateRef: {name: wrong}}}
  retry: {maxAttempts: 1}
---
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: fix-1}
spec:
  repositoryRef: {name: fix}
  number: 1
  version: 0.1.0
  tasks: [{name: do, description: Write right into it.txt}]
YAML
}
