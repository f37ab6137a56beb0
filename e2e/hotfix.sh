# shellcheck shell=bash
# A hotfix arrives while a phase waits for its approval: it passes first, and the phase is merged on top of it, reviewed again.
# Sourced by e2e/run; HOTFIX is the namespace.

hotfix_line() {
  local first
  hotfix_project || give_up "the project of the hotfix cannot be applied"
  follow "$HOTFIX"
  is "work-1 waits for a person" AwaitingApproval "$(state_of "$HOTFIX" work-1)"
  first=$(field "$HOTFIX" phase work-1 .status.review.result)
  hotfix login 0.1.1 || give_up "the hotfix cannot be applied"
  same_names_refused
  ok "the hotfix passes" await 300 hotfix_is_at login Passed
  passed_phase "$HOTFIX" hello login release-v0.1.1
  passed_first
  ok "work-1 is approved" kubectl phasegate -n "$HOTFIX" approve work-1
  ok "work-1 passes" await 300 hotfix_is_at work-1 Passed
  follow "$HOTFIX"
  passed_phase "$HOTFIX" hello work-1 phase-1-v0.1.0
  went_second "$first"
  tag_leads_to_evidence login release-v0.1.1
  tag_leads_to_evidence work-1 phase-1-v0.1.0
  tag_leads_to_evidence work-1 milestone-first-words-v0.1.0
}

# shellcheck disable=SC2317
hotfix_is_at() { [ "$(state_of "$HOTFIX" "$1")" = "$2" ]; }

# The same name, and the same tag, once more: both wait, with the reason.
same_names_refused() {
  hotfix again 0.1.2 login || give_up "the second hotfix of that name cannot be applied"
  ok "another hotfix of the same name is blocked" await 60 blocked_by again NumberTaken
  kubectl -n "$HOTFIX" delete phase again
  hotfix twice 0.1.1 || give_up "the second hotfix of that version cannot be applied"
  ok "another hotfix of the same version is blocked" await 60 blocked_by twice TagPromised
  kubectl -n "$HOTFIX" delete phase twice
}

# blocked_by PHASE REASON
# shellcheck disable=SC2317
blocked_by() { field "$HOTFIX" phase "$1" '.status.blockedBy[*].reason' | grep -qw "$2"; }

# The hotfix alone is on main, and nothing of the phase.
passed_first() {
  is "work-1 waits still" AwaitingApproval "$(state_of "$HOTFIX" work-1)"
  is "main holds the hotfix and nothing else" login.txt "$(git_in "$HOTFIX" hello ls-tree --name-only main)"
  is "it came by its branch" "$(git_in "$HOTFIX" hello rev-parse hotfix/login)" "$(git_in "$HOTFIX" hello rev-parse 'main^2')"
  is "its task was squashed" "hotfix-login/login: Write a file" "$(git_in "$HOTFIX" hello log -1 --format=%s hotfix/login)"
  has "the plugin calls it a hotfix" "Hotfix login 0.1.1" "$(kubectl phasegate -n "$HOTFIX" prepare-release login || true)"
}

# went_second RESULT: the review before the hotfix.
went_second() {
  local again
  again=$(field "$HOTFIX" phase work-1 .status.review.result)
  is "work-1 was reviewed again" "work-1-r1-2" "$again"
  is "on top of the hotfix" "$(field "$HOTFIX" phase login .status.merge.commit)" \
    "$(field "$HOTFIX" reviewresult "$again" .spec.base)"
  is "both reviews passed" "Pass Pass" "$(field "$HOTFIX" phase work-1 '.status.history[*].verdict')"
  ok "and are different ones" test "$1" != "$again"
  is "no attempt was spent" 1 "$(field "$HOTFIX" phase work-1 .status.attempt)"
  is "one approval was enough" 1 "$(kubectl -n "$HOTFIX" get decisions -o name | wc -l)"
  is "main holds both" "login.txt words.txt" "$(git_in "$HOTFIX" hello ls-tree --name-only main | paste -sd' ' -)"
  is "as two merges on the first commit" 3 "$(git_in "$HOTFIX" hello rev-list --first-parent --count main)"
}

# trailer TAG KEY
trailer() { git_in "$HOTFIX" hello for-each-ref --format='%(contents:trailers)' "refs/tags/$1" | sed -n "s/^$2: //p"; }

# tag_leads_to_evidence PHASE TAG
tag_leads_to_evidence() {
  local result digest
  result=$(field "$HOTFIX" phase "$1" .status.review.result)
  is "$2: names the ReviewResult" "$result" "$(trailer "$2" Review)"
  is "$2: has its score" "$(field "$HOTFIX" reviewresult "$result" .status.score)" "$(trailer "$2" Score)"
  is "$2: has its commit" "$(field "$HOTFIX" reviewresult "$result" .spec.commit)" "$(trailer "$2" Commit)"
  is "$2: has its tree" "$(git_in "$HOTFIX" hello rev-parse "$2^{tree}")" "$(trailer "$2" Tree)"
  is "$2: has the digest of its evidence" "$(field "$HOTFIX" reviewresult "$result" .status.evidenceDigest)" "$(trailer "$2" Evidence)"
  has "$2: the gate note has it too" "Evidence: $(trailer "$2" Evidence)" \
    "$(git_in "$HOTFIX" hello notes --ref phasegate show "$2^{commit}")"
  if ! command -v jq > /dev/null; then
    say "jq is not installed: the digest of $2 is not computed again"
    return
  fi
  digest=$(kubectl -n "$HOTFIX" get reviewresult "$result" -o json | jq -cSj .spec | sha256sum | cut -d' ' -f1)
  is "$2: jq and sha256sum come to the same digest" "sha256:$digest" "$(trailer "$2" Evidence)"
}

# hotfix PHASE VERSION [NAME]: the name of the hotfix is that of the phase unless given.
hotfix() {
  kubectl -n "$HOTFIX" apply -f - <<YAML
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: $1}
spec:
  repositoryRef: {name: hello}
  hotfix: ${3:-$1}
  version: $2
  tasks: [{name: login, description: Write a file}]
YAML
}

hotfix_project() {
  kubectl -n "$HOTFIX" apply -f - <<YAML
apiVersion: v1
kind: PodTemplate
metadata: {name: writer}
template:
  spec:
    containers:
      - name: agent
        image: $TOOLS
        imagePullPolicy: IfNotPresent
        command: [python3, -c]
        args:
          - |
            import json, os
            task = json.load(open(os.environ["PHASEGATE_BRIEF"]))
            open(f"{task['task']}.txt", "w").write(f"{task.get('hotfix') or task['number']}\n")
            print("done")
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: hello}
spec:
  checks: [{name: test, image: "$TOOLS", script: test -n "\$(ls ./*.txt)"}]
  agents: {developer: {podTemplateRef: {name: writer}}}
---
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: work-1}
spec:
  repositoryRef: {name: hello}
  number: 1
  version: 0.1.0
  approval: {required: true}
  release: {milestone: first-words}
  tasks: [{name: words, description: Write a file}]
YAML
}
