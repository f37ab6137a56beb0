# shellcheck shell=bash
# The objects of e2e/faults, on standard output. Sourced after common.sh; SPACE is the namespace.

# agent NAME IMAGE COMMAND...: a PodTemplate and a Repository of the same name that it works for, with one check.
agent() {
  local name=$1 image=$2
  shift 2
  template "$name" "$image" "$@"
  repository "$name" "$name"
}

# template NAME IMAGE COMMAND...
template() {
  local name=$1 image=$2 command
  shift 2
  command=$(printf "'%s', " "${@//\'/\'\'}")
  cat <<YAML
---
apiVersion: v1
kind: PodTemplate
metadata: {name: $name}
template:
  spec:
    containers:
      - name: agent
        image: $(image_name "$image")
        command: [${command%, }]
        env: [{name: HOSTILE_NAMESPACE, value: $SPACE}]
        resources: {requests: {cpu: 10m}, limits: {memory: ${MEMORY:-256Mi}}}
        volumeMounts: [{name: scripts, mountPath: /scripts}]
    volumes:
      - ${VOLUME:-"{name: scripts, configMap: {name: hostile, optional: true}}"}
YAML
}

# repository NAME TEMPLATE [REVIEW [CHECK IMAGE]]
repository() {
  cat <<YAML
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: $1}
spec:
  checks: [{name: test, image: "${4:-$(image_name "$TOOLS")}", script: "test -d ."}]
  agents: {developer: {podTemplateRef: {name: $2}}}
  retry: {maxRunsPerTask: 1, backoff: {initial: 1s, max: 1s}}
  review: ${3:-"{}"}
YAML
}

# phase NAME REPOSITORY [LINE OF THE SPEC [NUMBER]]
phase() {
  cat <<YAML
---
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: $1}
spec:
  repositoryRef: {name: $2}
  number: ${4:-1}
  version: 0.1.0
  tasks: [{name: t, description: Do it, timeout: ${TIMEOUT:-2m}}]
  ${3:-}
YAML
}

# Everything that the API server takes, and that fails later.
objects() {
  local name
  agent works "$TOOLS" sh -c 'date > it'
  phase circle-1 works "dependsOn: [circle-2]" 11
  phase circle-2 works "dependsOn: [circle-1]" 12
  phase nowhere nowhere
  repository unknown-template nobody
  template no-command "$TOOLS" | sed '/command: /d'
  repository no-command no-command
  VOLUME="{name: node, hostPath: {path: /}}" template host-path "$TOOLS" true | sed 's/name: scripts, mountPath/name: node, mountPath/'
  repository host-path host-path
  repository unfed works "{categories: [{name: functionality}, {name: security}]}"
  phase number-1 works "suspend: true" 21
  phase number-2 works "" 21
  agent idle "$TOOLS" sh -c 'exit 0'
  agent broken "$TOOLS" sh -c 'echo no model key; exit 1'
  MEMORY=32Mi agent oom "$TOOLS" python3 -c 'x = bytearray(10 ** 9)'
  agent hang "$TOOLS" sleep 600
  agent image phasegate.invalid/none:1 sh
  repository check-image works "" phasegate.invalid/none:1
  agent hostile "$TOOLS" python3 /scripts/hostile.py
  for name in unknown-template no-command host-path unfed idle broken oom image check-image hostile; do
    phase "$name" "$name"
  done
  TIMEOUT=10s phase hang hang
}

agent_task() {
  cat <<YAML
apiVersion: phasegate.dev/v1alpha1
kind: AgentTask
metadata: {name: by-hand}
spec:
  role: Check
  repository: works
  task: test
  commit: "0000000000000000000000000000000000000001"
  timeout: 1m
  maxRuns: 1
  pod: {image: "$TOOLS", command: ["true"]}
YAML
}

# A record of checks that nobody ran.
review_result() {
  cat <<YAML
apiVersion: phasegate.dev/v1alpha1
kind: ReviewResult
metadata: {name: number-1-r1-1}
spec:
  phase: number-1
  phaseUID: none
  attempt: 1
  number: 1
  commit: "0000000000000000000000000000000000000001"
  tree: "0000000000000000000000000000000000000002"
  base: "0000000000000000000000000000000000000003"
  gateHash: none
  rubric: {passingScore: "9.0", categories: [{name: functionality, weight: 1, floor: "8.0"}]}
  checks: []
YAML
}

pod_spec() {
  printf '{serviceAccountName: phasegate-task, restartPolicy: Never, automountServiceAccountToken: false, '
  printf 'securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}, '
  printf 'containers: [{name: x, image: "%s", command: ["true"], ' "$TOOLS"
  printf 'securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}\n'
}

job() { printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: by-hand}\nspec: {template: {spec: %s}}\n' "$(pod_spec)"; }

pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: by-hand}\nspec: %s\n' "$(pod_spec)"; }

# decision TYPE PHASE-UID USER: about phase number-1.
decision() {
  printf 'apiVersion: phasegate.dev/v1alpha1\nkind: Decision\nmetadata: {generateName: forged-}\n'
  printf 'spec: {type: %s, phase: number-1, phaseUID: %s, attempt: 0, user: %s}\n' "$1" "$2" "$3"
}
