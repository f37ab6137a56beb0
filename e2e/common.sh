# shellcheck shell=bash disable=SC2034
# What the demo and the end-to-end test share: build, load, install, ask, diagnose. Sourced from the repository's root.

PARTS=$PWD/e2e/cluster.d
# shellcheck source=cluster.d/lib.sh
. "$PARTS/lib.sh"

readonly SYSTEM=phasegate IMAGE=phasegate:dev TOOLS=alicia-tools:dev
DIAGNOSIS=$CACHE/logs/diagnosis
# Seconds that everything after the cluster may take.
LIMIT=${PHASEGATE_LIMIT:-1800}

# heading TEXT: with the time since the start.
heading() { printf '\n== %02d:%02d  %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

start_cluster_and_enter() {
  e2e/cluster up
  local lines
  lines=$(e2e/cluster env)
  eval "$lines"
}

# The image names that pods use: with DEMO_REGISTRY they are pulled from there.
image_name() {
  if [[ -n ${DEMO_REGISTRY:-} && $DEMO_CONTEXT != kind-* ]]; then
    printf '%s/%s\n' "$DEMO_REGISTRY" "$1"
  else
    printf '%s\n' "$1"
  fi
}

build_and_load() {
  step "compiling phasegate" make binary
  mkdir -p "$STATE/bin"
  # Over a running plugin only a rename works.
  install -m 0755 dist/phasegate "$STATE/bin/.new"
  mv "$STATE/bin/.new" "$STATE/bin/kubectl-phasegate"
  step "building image $IMAGE" e2e/image "$IMAGE" .
  step "building image $TOOLS" e2e/image "$TOOLS" config/samples/alicia/image
  e2e/cluster load "$IMAGE" "$TOOLS"
}

# install_chart HELM FLAGS: waits until operator and git service are ready.
install_chart() {
  local image build
  image=$(image_name "$IMAGE")
  # The tag stays the same from build to build: the annotation makes new pods of a new binary.
  build=$(sha256sum dist/phasegate | cut -c1-16)
  step "installing the chart" helm upgrade --install phasegate charts/phasegate --namespace "$SYSTEM" --create-namespace \
    --set "image.repository=${image%:*},image.tag=${image##*:}" \
    --set-string "operator.podAnnotations.build=$build,git.podAnnotations.build=$build" "$@"
  kubectl -n "$SYSTEM" rollout status statefulset/phasegate-git --timeout=180s || return 1
  kubectl -n "$SYSTEM" rollout status deployment/phasegate --timeout=180s
}

# apply_sample NAME NAMESPACE: a sample as it stands, or through an overlay where its namespace or its images differ.
apply_sample() {
  local name=$1 namespace=$2 overlay rc=0
  if [ "$namespace" = "$name" ] && [ "$(image_name x:y)" = x:y ]; then
    kubectl apply -k "config/samples/$name"
    return
  fi
  mkdir -p dist
  overlay=$(mktemp -d dist/overlay.XXXXXX)
  cp "config/samples/$name/kustomizeconfig.yaml" "$overlay/"
  write_overlay "$name" "$namespace" > "$overlay/kustomization.yaml"
  kubectl apply -k "$overlay" || rc=$?
  rm -rf "$overlay"
  return "$rc"
}

write_overlay() {
  local image name=$1 namespace=$2
  printf 'namespace: %s\nconfigurations: [kustomizeconfig.yaml]\nresources: [../../config/samples/%s]\nimages:\n' "$namespace" "$name"
  for image in "$IMAGE" "$TOOLS"; do
    printf '  - {name: "%s", newName: "%s", newTag: "%s"}\n' "${image%:*}" "$(n=$(image_name "$image"); echo "${n%:*}")" "${image##*:}"
  done
  [ "$name" = alicia ] || return 0
  printf 'patches:\n  - target: {kind: Repository, name: alicia}\n    patch: |\n'
  printf '      - {op: replace, path: /spec/upstream/url, value: "git://alicia-upstream.%s.svc.cluster.local/alicia.git"}\n' "$namespace"
  # Looked at once: a test of quiet is not to hear the next look.
  printf '      - {op: add, path: /spec/upstream/interval, value: 24h}\n'
}

# git_in NAMESPACE REPOSITORY ARGUMENTS...: git in the git service's own repository. Its pod may be restarting: asked again.
git_in() {
  local repository=/var/lib/phasegate/git/$1/$2.git try out
  shift 2
  for try in 1 2 3; do
    if out=$(kubectl -n "$SYSTEM" exec statefulset/phasegate-git -- git --git-dir "$repository" "$@"); then
      printf '%s\n' "$out"
      return
    fi
    sleep $((try * 2))
  done
  return 1
}

# state_of NAMESPACE PHASE
state_of() { kubectl -n "$1" get phase "$2" -o 'jsonpath={.status.state}' 2> /dev/null; }

# no_pod_runs NAMESPACE: of a task.
no_pod_runs() {
  local pods
  pods=$(kubectl -n "$1" get pods -l batch.kubernetes.io/job-name --field-selector=status.phase=Running -o name) && [ -z "$pods" ]
}

# Seconds that are left of the limit, counted from RUN_START.
time_left() {
  local left=$((LIMIT - (SECONDS - RUN_START)))
  echo $((left > 1 ? left : 1))
}

# diagnose NAMESPACE...: everything that explains a failure, in files that are named.
diagnose() {
  local namespace
  rm -rf "$DIAGNOSIS"
  mkdir -p "$DIAGNOSIS"
  for namespace in "$SYSTEM" "$@"; do
    {
      kubectl -n "$namespace" get phasegate,jobs,pods -o wide
      kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -n 200
    } > "$DIAGNOSIS/$namespace.txt" 2>&1 || true
    kubectl -n "$namespace" get phasegate -o yaml > "$DIAGNOSIS/$namespace.objects.yaml" 2>&1 || true
    kubectl -n "$namespace" describe phases,jobs,pods > "$DIAGNOSIS/$namespace.describe.txt" 2>&1 || true
  done
  kubectl -n "$SYSTEM" logs deployment/phasegate --all-pods --tail=2000 > "$DIAGNOSIS/operator.log" 2>&1 || true
  kubectl -n "$SYSTEM" logs deployment/phasegate --previous --tail=2000 > "$DIAGNOSIS/operator.previous.log" 2>&1 || true
  kubectl -n "$SYSTEM" logs statefulset/phasegate-git --tail=2000 > "$DIAGNOSIS/git.log" 2>&1 || true
  task_logs "$@"
  say "objects, events and logs are in $DIAGNOSIS"
}

task_logs() {
  local namespace pod
  for namespace in "$@"; do
    kubectl -n "$namespace" get pods -l batch.kubernetes.io/job-name -o name 2> /dev/null | tail -n 30 | while read -r pod; do
      kubectl -n "$namespace" logs "$pod" --all-containers --tail=200 > "$DIAGNOSIS/$namespace.${pod#pod/}.log" 2>&1 || true
    done
  done
}

# alicia_project NAMESPACE: the value of projects[] for a further Alicia, with the same doors as the demo's. It goes with the release.
alicia_project() {
  sed -n '/name: alicia$/,/name: hello/p' e2e/demo-values.yaml | sed "\$d; s/name: alicia\$/name: $1/"
  printf '    keepNamespace: false\n'
}
