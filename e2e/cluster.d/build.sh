# shellcheck shell=bash
# Debian packages, and the Go components in the cache. Nothing here runs or stops the cluster.

readonly COMPONENTS="kubernetes etcd coredns helm"
readonly PACKAGES="containerd runc containernetworking-plugins iptables conntrack ebtables ethtool socat iproute2 kmod
  buildah mmdebstrap debian-archive-keyring openssl ca-certificates gcc libc6-dev procps util-linux tar"

install_packages() {
  local package missing=()
  command -v dpkg-query > /dev/null || die "the cluster's parts come from Debian packages, and this system has no dpkg"
  for package in $PACKAGES; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  step "installing Debian packages" apt_install "${missing[@]}"
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update && apt-get install -y --no-install-recommends "$@" || return 1
  # The package starts a containerd of its own. Ours is another instance; one that nobody asked for should not run.
  if [ -d /run/systemd/system ] && [[ " $* " = *" containerd "* ]]; then
    systemctl disable --now containerd || true
  fi
}

go_packages() {
  case $1 in
    kubernetes) printf 'k8s.io/kubernetes/cmd/%s\n' kube-apiserver kube-controller-manager kube-scheduler \
      kube-proxy kubelet kubectl ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    coredns) echo github.com/coredns/coredns ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
  esac
}

# Without these the components report a development version.
go_ldflags() {
  local package=k8s.io/component-base/version
  case $1 in
    kubernetes) echo "-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1" \
      "-X $package.gitMinor=35 -X $package.gitTreeState=clean" ;;
    helm) echo "-s -w -X helm.sh/helm/v4/internal/version.version=$HELM_VERSION" ;;
    *) echo "-s -w" ;;
  esac
}

# Where a component's binaries are, or would be.
component_dir() {
  local variable=DIR_$1 source=$PARTS/go/$1
  if [ -z "${!variable:-}" ]; then
    command -v go > /dev/null || die "the cluster is built from Go modules, and there is no go on PATH"
    printf -v "$variable" %s "$CACHE/bin/$1-$(key_of "$source/go.mod" "$source/go.sum" "$(go_ldflags "$1")" \
      "$(go_packages "$1")" "$(cd "$source" && go version)")"
  fi
  printf '%s\n' "${!variable}"
}

# Later calls, in subshells too, then need not ask go again.
resolve_components() {
  local component
  for component in $COMPONENTS; do component_dir "$component" > /dev/null; done
}

compile() {
  local target=$1 source=$PARTS/go/$2
  local -a packages
  mapfile -t packages < <(go_packages "$2")
  cd "$source" || return 1
  rm -rf "$target"
  mkdir -p "$target/cli"
  # A final slash would name etcd's binary after the last part of its module path, v3.
  local output=$target/
  [ ${#packages[@]} -gt 1 ] || output=$target/$2
  CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build -trimpath -buildvcs=false -ldflags "$(go_ldflags "$2")" \
    -o "$output" "${packages[@]}" || return 1
  case $2 in
    kubernetes) ln -s ../kubectl "$target/cli/kubectl" ;;
    helm) ln -s ../helm "$target/cli/helm" ;;
  esac
}

# locked COMMAND...: one build into the cache at a time, whoever asks for it.
locked() {
  local lock
  mkdir -p "$CACHE"
  exec {lock}< "$CACHE"
  flock "$lock"
  "$@"
  exec {lock}<&-
}

build_components() {
  local component
  for component in "$@"; do
    [ -d "$(component_dir "$component")" ] || locked build_component "$component"
  done
}

# The folder appears under its final name only when whole.
build_component() {
  local target
  target=$(component_dir "$1")
  if [ ! -d "$target" ]; then
    step "building $1" compile "$target.part" "$1"
    mv "$target.part" "$target"
  fi
}

build_all() {
  # shellcheck disable=SC2086
  build_components $COMPONENTS
  build_system_images
  ensure_base_image
}

# The folders with kubectl and helm, and nothing else.
cli_path() { printf '%s/cli:%s/cli\n' "$(component_dir kubernetes)" "$(component_dir helm)"; }
