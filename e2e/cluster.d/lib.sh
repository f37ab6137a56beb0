# shellcheck shell=bash disable=SC2034
# Names, places, messages. Nothing here changes the machine but the state folder in attached mode.

DEMO_CONTEXT=${DEMO_CONTEXT:-}
CACHE=${PHASEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phasegate}
if [ -n "$DEMO_CONTEXT" ]; then
  # Attaching needs no root, so neither may its state folder.
  STATE=${PHASEGATE_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/phasegate-context}
else
  STATE=${PHASEGATE_STATE:-/var/lib/phasegate-cluster}
fi
readonly KUBERNETES_VERSION=v1.35.4 HELM_VERSION=v4.3.1
readonly NODE=phasegate-node BRIDGE=phasegate0
readonly NODE_IP=10.244.0.1 POD_CIDR=10.244.0.0/24 SERVICE_CIDR=10.96.0.0/16
readonly SERVICE_IP=10.96.0.1 DNS_IP=10.96.0.10 API_PORT=6443

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

require_root() {
  [ "$(uname -s)" = Linux ] || die "the cluster needs Linux; set DEMO_CONTEXT to use a cluster you have"
  [ "$(id -u)" = 0 ] || die "the cluster needs root; run as root, or set DEMO_CONTEXT to use a cluster you have"
  [[ $STATE = /*/* && $STATE != *[[:space:]]* ]] || die "PHASEGATE_STATE must be an absolute path below / without blanks"
  # Unix socket names hold 107 bytes.
  [ "${#STATE}" -le 70 ] || die "PHASEGATE_STATE is too long for the sockets in it: $STATE"
}

# One up or down at a time. The lock is this program itself, so that no lock file stays behind.
lock_recipe() {
  exec 9< "$PARTS/../cluster"
  flock -n 9 || { say "waiting for another e2e/cluster to finish"; flock 9; }
}

# step LABEL COMMAND...: runs it with its output in a log, and shows that time passes.
step() {
  local label=$1 log=$CACHE/logs/${1//[^a-z0-9]/-}.log start=$SECONDS shown=$SECONDS pid rc=0
  shift
  mkdir -p "$CACHE/logs"
  # In a process group of its own, so that an interrupt can end all of it.
  set -m
  "$@" > "$log" 2>&1 < /dev/null &
  pid=$!
  set +m
  trap 'kill -- "-$pid" 2> /dev/null; say ""; say "interrupted"; exit 130' INT TERM
  while kill -0 "$pid" 2> /dev/null; do
    sleep 0.5
    if [ -t 2 ]; then
      printf '\r\033[K%s … %d s' "$label" $((SECONDS - start)) >&2
    elif [ $((SECONDS - shown)) -ge 20 ]; then
      say "$label … $((SECONDS - start)) s"
      shown=$SECONDS
    fi
  done
  wait "$pid" || rc=$?
  trap - INT TERM
  [ ! -t 2 ] || printf '\r\033[K' >&2
  [ "$rc" = 0 ] || die "$label failed after $((SECONDS - start)) s; its output is in $log"
  say "$label: $((SECONDS - start)) s"
}

# await SECONDS COMMAND...: until the command succeeds.
await() {
  local end=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# A short name for the contents of files and further words.
key_of() {
  local file
  { for file in "$@"; do
    if [ -f "$file" ]; then cat "$file"; else printf '%s\n' "$file"; fi
  done; } | sha256sum | cut -c1-16
}

kubectl_admin() { "$(component_dir kubernetes)/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }

print_kubeconfig() {
  case ${1:-admin} in
    admin) printf '%s\n' "$STATE/admin.kubeconfig" ;;
    user) printf '%s\n' "$STATE/user.kubeconfig" ;;
    *) die "there is a kubeconfig for 'admin' and one for 'user'" ;;
  esac
}

print_env() {
  [ -f "$STATE/admin.kubeconfig" ] || say "warning: the cluster is not up; run e2e/cluster up"
  printf 'export KUBECONFIG=%q\n' "$STATE/admin.kubeconfig"
  # bin holds the kubectl plugin, once the demo has built it.
  if [ -n "$DEMO_CONTEXT" ]; then
    printf 'export PATH=%q\n' "$STATE/bin:$PATH"
  else
    printf 'export PATH=%q\n' "$STATE/bin:$(cli_path):$PATH"
  fi
}

# Uses the named context of the caller's kubeconfig, and leaves that file as it is.
attach_context() {
  command -v kubectl > /dev/null || die "DEMO_CONTEXT is set, but there is no kubectl on PATH"
  local copy
  kubectl config get-contexts "$DEMO_CONTEXT" > /dev/null 2>&1 || die "kubectl knows no context '$DEMO_CONTEXT'"
  mkdir -p "$STATE"
  copy=$(umask 077 && mktemp "$STATE/admin.XXXXXX")
  if ! kubectl --context "$DEMO_CONTEXT" config view --minify --flatten --raw > "$copy"; then
    rm -f "$copy"
    die "context '$DEMO_CONTEXT' is incomplete"
  fi
  mv "$copy" "$STATE/admin.kubeconfig"
  kubectl --kubeconfig "$STATE/admin.kubeconfig" get --raw /readyz --request-timeout=20s > /dev/null \
    || die "context '$DEMO_CONTEXT' does not answer"
  say "using context $DEMO_CONTEXT: eval \"\$(e2e/cluster env)\""
}

detach_context() {
  rm -f "$STATE/admin.kubeconfig"
  [ ! -d "$STATE" ] || rmdir --ignore-fail-on-non-empty "$STATE"
}
