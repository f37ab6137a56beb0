# shellcheck shell=bash
# Brings images of e2e/image to where the cluster's node finds them.

load_images() {
  [ $# -gt 0 ] || die "usage: e2e/cluster load NAME..."
  local name
  for name in "$@"; do
    if [ -n "$DEMO_CONTEXT" ]; then load_into_context "$name"; else load_into_node "$name"; fi
  done
}

load_into_node() {
  local id mark archive
  require_root
  alive containerd || die "the cluster is not up; run e2e/cluster up"
  id=$(builder images --quiet --no-trunc "$1" 2> /dev/null) || die "no image $1; build it with e2e/image"
  mark=$STATE/loaded/$(key_of "$1")
  if [ "$(cat "$mark" 2> /dev/null)" = "$id" ] && ctr_ images ls -q | grep -qxF "$(full_name "$1")"; then
    say "$1 is loaded already"
    return
  fi
  archive=$(mktemp -d "$STATE/load.XXXXXX")
  builder push --quiet "$1" "docker-archive:$archive/image.tar:$(full_name "$1")" > /dev/null
  ctr_ images import --snapshotter "$(snapshotter_in_use)" "$archive/image.tar" > /dev/null
  rm -rf "$archive"
  mkdir -p "$STATE/loaded"
  echo "$id" > "$mark"
  say "$1 is loaded"
}

# As the kubelet reads it: a name without a registry is one of docker.io/library, without a tag the latest.
# buildah would say localhost, under which no pod finds it.
full_name() {
  local name=$1
  if [[ $name != */* ]]; then
    name=docker.io/library/$name
  elif [[ ${name%%/*} != *[.:]* && $name != localhost/* ]]; then
    name=docker.io/$name
  fi
  [[ ${name##*/} = *:* ]] || name=$name:latest
  printf '%s\n' "$name"
}

load_into_context() {
  if [[ $DEMO_CONTEXT = kind-* ]] && command -v kind > /dev/null; then
    load_into_kind "$1"
  elif [ -n "${DEMO_REGISTRY:-}" ]; then
    push_to_registry "$1" "$DEMO_REGISTRY/${1#localhost/}"
  else
    die "context $DEMO_CONTEXT has to pull images from a registry: set DEMO_REGISTRY to one that this machine may push to (for a kind cluster, put kind on PATH instead)"
  fi
}

load_into_kind() {
  local archive
  if docker image inspect "$1" > /dev/null 2>&1; then
    kind load docker-image "$1" --name "${DEMO_CONTEXT#kind-}"
  else
    archive=$(mktemp -d)
    builder push --quiet "$1" "docker-archive:$archive/image.tar:$(full_name "$1")" > /dev/null
    kind load image-archive "$archive/image.tar" --name "${DEMO_CONTEXT#kind-}"
    rm -rf "$archive"
  fi
}

push_to_registry() {
  if docker image inspect "$1" > /dev/null 2>&1; then
    docker tag "$1" "$2" && docker push "$2"
  else
    builder push "$1" "docker://$2"
  fi
  say "$1 is pushed as $2"
}
