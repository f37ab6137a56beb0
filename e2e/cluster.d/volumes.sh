#!/usr/bin/env bash
# Keeps a pool of local volumes, and makes one new again when its claim is gone:
#   bash volumes.sh KUBECTL KUBECONFIG FOLDER NODE
# Local rather than hostPath, because only those are handed to a pod's fsGroup.
set -uo pipefail
kubectl=$1 kubeconfig=$2 folder=$3 node=$4
readonly POOL=24 SIZE=10Gi

api() { "$kubectl" --kubeconfig "$kubeconfig" "$@"; }

make_volume() {
  mkdir -p "$folder/$1"
  cat <<EOF
---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: $1
spec:
  capacity: {storage: $SIZE}
  accessModes: [ReadWriteOnce, ReadWriteMany, ReadOnlyMany]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: standard
  local: {path: $folder/$1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [$node]}]
EOF
}

renew_volume() {
  # The watch may tell of a state that is past; a volume with a new claim must stay.
  [ "$(api get persistentvolume "$1" -o 'jsonpath={.status.phase}')" = Released ] || return 0
  api delete persistentvolume "$1" --wait --timeout=30s > /dev/null || return 0
  rm -rf "${folder:?}/$1"
  make_volume "$1" | api apply -f - > /dev/null
  echo "renewed $1"
}

while :; do
  for ((i = 1; i <= POOL; i++)); do make_volume "volume-$i"; done | api apply -f - > /dev/null
  # A watch ends now and then, and with the API server.
  api get persistentvolumes --watch -o 'jsonpath={.metadata.name} {.status.phase}{"\n"}' 2> /dev/null \
    | while read -r name phase; do
      if [ "$phase" = Released ] && [[ $name = volume-* ]]; then renew_volume "$name"; fi
    done
  sleep 2
done
