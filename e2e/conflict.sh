# shellcheck shell=bash
# Two tasks of a phase change the same line: the second is done again, with both sides in its brief and the merge in its
# work tree. Sourced by e2e/run; CONFLICT is the namespace.

conflict_line() {
  conflict_phases || give_up "the phase whose tasks conflict cannot be applied"
  follow "$CONFLICT"
  tasks_met
  release_shown
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
