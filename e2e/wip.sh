# shellcheck shell=bash
# An agent that writes a file and stands still, and whose pod dies: the next run starts with the file in its work tree, and
# finishes. Sourced by e2e/run; WIP is the namespace.

wip_line() {
  local task uid first
  wip_phase || give_up "the phase whose pod dies cannot be applied"
  ok "the first run has a pod" await 300 first_pod
  task=$(wip_task)
  uid=$(field "$WIP" agenttask "$task" .metadata.uid)
  first=$(field "$WIP" agenttask "$task" .status.pod)
  # Nobody can look into the pod of an agent: what it wrote is seen where it is saved.
  ok "its work is saved while it works" await 300 saved "$uid" 1
  kubectl -n "$WIP" delete pod "$first" --grace-period=0 --force > /dev/null 2>&1
  follow "$WIP"
  passed_phase "$WIP" hello work-1 phase-1-v0.1.0
  is "the second run began with what the first had saved" 1 "$(field "$WIP" agenttask "$task" .status.resumed.fromRun)"
  is "and knew it" "continued from run 1" "$(git_in "$WIP" hello show main:second.md)"
  is "what is merged is the work of both runs" "the first run was here" "$(git_in "$WIP" hello show main:first.md)"
  is "a pod that dies spends no run" 0 "$(field "$WIP" agenttask "$task" .status.spentRuns)"
  ok "the output of the second run is kept" git_in "$WIP" hello show "refs/phasegate/logs/$uid/2:output.log"
}

# shellcheck disable=SC2317
first_pod() { [ -n "$(field "$WIP" agenttask "$(wip_task)" .status.podUID)" ]; }

wip_task() { kubectl -n "$WIP" get agenttasks -o 'jsonpath={.items[?(@.spec.role=="Developer")].metadata.name}'; }

# saved UID RUN
# shellcheck disable=SC2317
saved() { git_in "$WIP" hello show "refs/phasegate/wip/$1/$2:first.md"; }

wip_phase() {
  kubectl -n "$WIP" apply -f - <<YAML
apiVersion: v1
kind: PodTemplate
metadata: {name: forgetful}
template:
  spec:
    containers:
      - name: agent
        image: $TOOLS
        imagePullPolicy: IfNotPresent
        command: [python3, -c]
        args:
          - |
            import json, os, time
            task = json.load(open(os.environ["PHASEGATE_BRIEF"]))
            if not os.path.exists("first.md"):
                open("first.md", "w").write("the first run was here\n")
                time.sleep(3600)
            open("second.md", "w").write(f"continued from run {task['resumedFrom']}\n")
            print("done")
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: hello}
spec:
  checks: [{name: test, image: "$TOOLS", script: test -s first.md && test -s second.md}]
  agents: {developer: {podTemplateRef: {name: forgetful}}}
---
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: work-1}
spec:
  repositoryRef: {name: hello}
  number: 1
  version: 0.1.0
  tasks: [{name: work, description: Write two files}]
YAML
}
