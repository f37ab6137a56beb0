# shellcheck shell=bash
# Images made without a registry: pause and coredns for the cluster, debian:bookworm-slim to build upon.

# A storage of its own: its debian:bookworm-slim must not stand in for the real one in other builds of this machine.
builder() { buildah --root "$CACHE/containers" --runroot /run/phasegate-buildah "$@"; }

pause_key() { key_of "$PARTS/images/pause/pause.c" "$PARTS/images/pause/Dockerfile"; }
coredns_key() { key_of "$PARTS/images/coredns/Dockerfile" "$(component_dir coredns)"; }
base_key() { key_of "$PARTS/images/base/Dockerfile" "$BASE_PACKAGES"; }
readonly BASE_PACKAGES=git,ca-certificates,openssh-client

build_system_images() {
  build_archive pause "$(pause_key)" "gcc -O2 -static -s -o pause $PARTS/images/pause/pause.c"
  build_archive coredns "$(coredns_key)" "cp $(component_dir coredns)/coredns coredns"
}

# build_archive NAME KEY COMMAND: the command leaves what the Dockerfile adds in the current folder.
build_archive() {
  local archive=$CACHE/images/$1-$2.tar
  [ -f "$archive" ] || locked step "building image $1" archive_image "$1" "$archive" "localhost/$1:$2" "$3"
}

archive_image() (
  set -e
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  cd "$context"
  $4
  cp "$PARTS/images/$1/Dockerfile" .
  builder bud --isolation chroot -t "$3" .
  mkdir -p "$(dirname "$2")"
  rm -f "$2.part"
  builder push "$3" "docker-archive:$2.part:$3"
  mv "$2.part" "$2"
)

ensure_base_image() { has_base_image || locked build_base_image; }

base_tag() { printf 'localhost/phasegate-base:%s\n' "$(base_key)"; }
has_base_image() { builder inspect --type image "$(base_tag)" > /dev/null 2>&1; }

build_base_image() {
  has_base_image || step "building image debian:bookworm-slim" base_image "$(base_tag)"
}

base_image() (
  set -e
  mkdir -p "$CACHE/images"
  rootfs=$CACHE/images/base-$(base_key).tar
  if [ ! -f "$rootfs" ]; then
    # A name that ends in .tar is what makes an archive.
    mmdebstrap --variant=minbase --include="$BASE_PACKAGES" bookworm "$rootfs.part.tar"
    mv "$rootfs.part.tar" "$rootfs"
  fi
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  ln "$rootfs" "$context/rootfs.tar" 2> /dev/null || cp "$rootfs" "$context/rootfs.tar"
  cp "$PARTS/images/base/Dockerfile" "$context"
  builder bud --isolation chroot -t "$1" -t docker.io/library/debian:bookworm-slim "$context"
)
