# shellcheck shell=bash
# Two tasks of a phase change the same line: the second is done again, with both sides in its brief and the merge in its
# work tree. Two phases do so: the second merges the base branch, or, where its agent cannot, a person does. Sourced by e2e/run;
# CONFLICT is the namespace, with a lead `fixer`.

MERGED_BY_HAND=dist/merged-by-hand

conflict_line() {
  conflict_phases || give_up "the phase whose tasks conflict cannot be applied"
  follow "$CONFLICT"
  tasks_met
  release_shown
  phases_meet hello 2 3
  base_merged
  phases_meet stubborn 11 12
  merged_by_hand
}

# phases_meet REPOSITORY NUMBER NUMBER: two phases at once that change the same line.
phases_meet() {
  local number
  for number in "$2" "$3"; do
    kubectl -n "$CONFLICT" apply -f - <<YAML || give_up "phase meet-$number cannot be applied"
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: meet-$number}
spec:
  repositoryRef: {name: $1}
  number: $number
  version: 0.$number.0
  tasks: [{name: at-$number, description: Greet at $number}]
YAML
  done
  follow "$CONFLICT"
}

base_merged() {
  local task
  passed_phase "$CONFLICT" hello meet-2 phase-2-v0.2.0
  passed_phase "$CONFLICT" hello meet-3 phase-3-v0.3.0
  is "main has the line of both phases" "good at-2 good at-3" \
    "$(git_in "$CONFLICT" hello show main:greeting.txt | sort | paste -sd' ' -)"
  task=$(kubectl -n "$CONFLICT" get agenttasks -o 'jsonpath={.items[?(@.spec.task=="base-merge")].metadata.name}')
  has "one of them merged the base branch" ".base-merge.1.1" "$task"
  is "with the base branch as the other side" BaseBranch "$(field "$CONFLICT" agenttask "$task" .spec.conflict.with)"
  is "no attempt was spent" "1 1" "$(kubectl -n "$CONFLICT" get phase meet-2 meet-3 -o 'jsonpath={.items[*].status.attempt}')"
  ok "the repository is sound" git_in "$CONFLICT" hello fsck --full --strict --no-dangling
}

# Its agent does not merge.
merged_by_hand() {
  local phase release said
  phase=$(kubectl -n "$CONFLICT" get phases -o 'jsonpath={.items[?(@.status.escalation.reason=="Conflict")].metadata.name}')
  ok "one phase waits for a person to merge" test -n "$phase"
  said=$(kubectl phasegate -n "$CONFLICT" why "$phase" 2>&1 || true)
  has "why prints how to clone" "clone stubborn" "$said"
  has "and how to have the merge gated" "retry $phase --commit" "$said"
  release=$(field "$CONFLICT" phase "$phase" .status.release.branch)
  merge_in_clone "$release" "$said" > "$CACHE/logs/merged-by-hand.log" 2>&1 || true
  ok "a person merges and pushes" git_in "$CONFLICT" stubborn rev-parse "bugfix/phase-${phase#meet-}-by-hand"
  ok "and has it gated" kubectl phasegate -n "$CONFLICT" retry "$phase" --commit "$(git -C "$MERGED_BY_HAND" rev-parse HEAD)"
  follow "$CONFLICT"
  passed_phase "$CONFLICT" stubborn "$phase" "phase-${phase#meet-}-v0.${phase#meet-}.0"
  is "$phase: no attempt was spent" 1 "$(field "$CONFLICT" phase "$phase" .status.attempt)"
  is "main has the line of both phases" "good at-11 good at-12" \
    "$(git_in "$CONFLICT" stubborn show main:greeting.txt | sort | paste -sd' ' -)"
}

# merge_in_clone RELEASE WHY: with the command that `why` has printed, by a service account.
merge_in_clone() {
  local step
  rm -rf "$MERGED_BY_HAND"
  kubectl phasegate -n "$CONFLICT" clone --service-account fixer stubborn "$MERGED_BY_HAND"
  cd "$MERGED_BY_HAND" || return 1
  step=$(sed -n 's/^ *\(git switch -c by-hand .*[^ ]\)  *#.*/\1/p' <<< "$2")
  # They conflict.
  eval "${step/kubectl phasegate git/kubectl phasegate git --service-account fixer}" || true
  printf 'good at-11\ngood at-12\n' > greeting.txt
  git -c user.name=Fixer -c user.email=fixer@example.com commit -qam "Both"
  kubectl phasegate git --service-account fixer push origin "HEAD:bugfix/phase-$(cut -d- -f2 <<< "$1")-by-hand"
  cd - || return 1
}

# One was first; the other kept both lines.
tasks_met() {
  local again
  passed_phase "$CONFLICT" hello meet-1 phase-1-v0.1.0
  is "what is merged has both lines" "good evening good morning" \
    "$(git_in "$CONFLICT" hello show main:greeting.txt | sort | paste -sd' ' -)"
  again=$(kubectl -n "$CONFLICT" get agenttasks -o 'jsonpath={.items[?(@.spec.conflict)].metadata.name}')
  is "one task was handed out again, with a conflict" 1 "$(wc -w <<< "$again")"
  has "under a name of its own" ".1.2" "$again"
  is "with the file that conflicts" "greeting.txt" "$(field "$CONFLICT" agenttask "$again" '.spec.conflict.files[*].path')"
  has "with what was integrated" "+good" "$(field "$CONFLICT" agenttask "$again" '.spec.conflict.files[0].integrated.diff')"
  has "and with what it had done itself" "+good" "$(field "$CONFLICT" agenttask "$again" '.spec.conflict.files[0].other.diff')"
  is "its agent read both sides" "+good evening +good morning -hello -hello" \
    "$(git_in "$CONFLICT" hello show main:sides.txt | grep '^[+-]' | sort | paste -sd' ' -)"
  is "a conflict spends no attempt" 1 "$(field "$CONFLICT" phase meet-1 .status.attempt)"
}

# What a release holds, from the records alone.
release_shown() {
  local before after
  before=$(git_in "$CONFLICT" hello for-each-ref)
  has "the release of meet-1 shows its task" "evening: Greet in the evening" \
    "$(kubectl phasegate -n "$CONFLICT" prepare-release meet-1 || true)"
  has "and its tag as one that exists" '"state": "Exists"' \
    "$(kubectl phasegate -n "$CONFLICT" prepare-release meet-1 -o json || true)"
  after=$(git_in "$CONFLICT" hello for-each-ref)
  is "and changes nothing" "$before" "$after"
}

conflict_phases() {
  kubectl -n "$CONFLICT" create serviceaccount fixer || return 1
  kubectl -n "$CONFLICT" apply -f - <<YAML
apiVersion: v1
kind: PodTemplate
metadata: {name: greeter}
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
            conflict = task.get("conflict")
            if conflict:
                sides = conflict["files"][0]
                open("sides.txt", "w").write(sides["integrated"]["diff"] + sides["other"]["diff"])
                kept, before = [], False
                for line in open("greeting.txt"):
                    if line.startswith("|||||||"):
                        before = True
                    elif line.startswith("======="):
                        before = False
                    elif not before and not line.startswith(("<<<<<<<", ">>>>>>>")):
                        kept.append(line)
                open("greeting.txt", "w").writelines(kept)
            elif task["task"] == "start":
                open("greeting.txt", "w").write("hello\n")
            else:
                open("greeting.txt", "w").write(f"good {task['task']}\n")
            print("done")
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: hello}
spec:
  checks: [{name: test, image: "$TOOLS", script: test -s greeting.txt && ! grep '<<<<<<<' greeting.txt}]
  agents: {developer: {podTemplateRef: {name: greeter}}}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: stubborn}
template:
  spec:
    containers:
      - name: agent
        image: $TOOLS
        imagePullPolicy: IfNotPresent
        command: [python3, -c]
        args:
          - |
            import json, os, sys
            task = json.load(open(os.environ["PHASEGATE_BRIEF"]))
            if task.get("conflict"):
                sys.exit("this agent does not merge")
            open("greeting.txt", "w").write(f"good {task['task']}\n")
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: stubborn}
spec:
  checks: [{name: test, image: "$TOOLS", script: test -s greeting.txt && ! grep '<<<<<<<' greeting.txt}]
  agents: {developer: {podTemplateRef: {name: stubborn}}}
  retry: {maxRunsPerTask: 1, backoff: {initial: 1s, max: 1s}}
---
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: meet-1}
spec:
  repositoryRef: {name: hello}
  number: 1
  version: 0.1.0
  tasks:
    - {name: start, description: Write a greeting}
    - {name: morning, description: Greet in the morning, dependsOn: [start]}
    - {name: evening, description: Greet in the evening, dependsOn: [start]}
YAML
}
