# shellcheck shell=bash
# etcd and the control plane: for the cluster, and, as etcd and kube-apiserver alone, for tests.

prepare_state() {
  local pki=$STATE/pki names="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  (umask 077 && mkdir -p "$STATE" && touch "$STATE/$MARK" && mkdir -p "$pki")
  new_ca "$pki"
  issue "$pki" apiserver /CN=kube-apiserver \
    "$names,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$SERVICE_IP,IP:$NODE_IP"
  issue "$pki" admin /O=system:masters/CN=admin
  issue "$pki" user /O=users/CN=user
  issue "$pki" kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  issue "$pki" controller-manager /CN=system:kube-controller-manager
  issue "$pki" scheduler /CN=system:kube-scheduler
  issue "$pki" kube-proxy /CN=system:kube-proxy
  issue "$pki" kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:127.0.0.1,IP:$NODE_IP"
  local name
  for name in admin user; do
    kubeconfig "$pki" "$name" "https://127.0.0.1:$API_PORT" "$STATE/$name.kubeconfig"
  done
  for name in controller-manager scheduler kube-proxy kubelet; do
    kubeconfig "$pki" "$name" "https://127.0.0.1:$API_PORT" "$pki/$name.kubeconfig"
  done
  chmod 600 "$STATE"/*.kubeconfig "$pki"/*
  save_sysctls
}

# Throw-away data: nothing has to reach the disk. A socket in the folder needs no port, and no other user can connect.
start_etcd() {
  daemon etcd "$(component_dir etcd)/etcd" --name phasegate --data-dir "$RUN/etcd" --unsafe-no-fsync \
    --listen-client-urls unix://etcd.sock --advertise-client-urls http://localhost:2379 \
    --listen-peer-urls unix://etcd-peer.sock --quota-backend-bytes 4294967296 --log-level warn
  await_daemon etcd test -S "$RUN/etcd.sock"
}

# start_apiserver PORT FLAG...: what the cluster and the one for tests have in common.
start_apiserver() {
  local port=$1 pki=$RUN/pki
  shift
  daemon kube-apiserver "$(component_dir kubernetes)/kube-apiserver" --etcd-servers unix://etcd.sock \
    --secure-port "$port" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --client-ca-file "$pki/ca.crt" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/service-accounts.key" \
    --service-account-signing-key-file "$pki/service-accounts.key" \
    --service-cluster-ip-range "$SERVICE_CIDR" --profiling=false "$@"
}

start_control_plane() {
  local bin pki=$STATE/pki
  bin=$(component_dir kubernetes)
  create_bridge
  alive etcd || start_etcd || component_failed etcd
  alive kube-apiserver || start_apiserver "$API_PORT" --bind-address 0.0.0.0 --advertise-address "$NODE_IP" \
    --allow-privileged=true --kubelet-client-certificate "$pki/kubelet-client.crt" \
    --kubelet-client-key "$pki/kubelet-client.key" --kubelet-certificate-authority "$pki/ca.crt" \
    --kubelet-preferred-address-types InternalIP
  await_daemon kube-apiserver kubectl_admin get --raw /readyz || component_failed kube-apiserver
  alive kube-controller-manager || daemon kube-controller-manager "$bin/kube-controller-manager" \
    --kubeconfig "$pki/controller-manager.kubeconfig" --bind-address 127.0.0.1 --leader-elect=false \
    --flex-volume-plugin-dir "$STATE/volume-plugins" --use-service-account-credentials \
    --service-account-private-key-file "$pki/service-accounts.key" \
    --root-ca-file "$pki/ca.crt" --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
  alive kube-scheduler || daemon kube-scheduler "$bin/kube-scheduler" --kubeconfig "$pki/scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false
}

# database_save DIR: a copy of the database as it stood at one moment.
database_save() {
  [ $# -eq 1 ] || die "usage: e2e/cluster database-save DIR"
  [ ! -e "$1" ] || die "$1 exists already"
  require_own_cluster
  stop_api
  cp -a "$STATE/etcd" "$1"
  start_cluster same
}

# database_restore DIR: as an administrator restores a backup: what watches is started anew, since the past has lower
# resourceVersions than what it remembers.
database_restore() {
  [ $# -eq 1 ] || die "usage: e2e/cluster database-restore DIR"
  [ -d "$1/member" ] || die "$1 is no copy that database-save made"
  require_own_cluster
  local name
  for name in kubelet kube-proxy kube-scheduler kube-controller-manager; do stop_daemon "$name"; done
  stop_api
  rm -rf "$STATE/etcd"
  cp -a "$1" "$STATE/etcd"
  start_cluster same
}

stop_api() {
  local name
  for name in kube-apiserver etcd; do stop_daemon "$name"; done
}

require_own_cluster() {
  [ -z "$DEMO_CONTEXT" ] || die "the database of another's cluster is not touched; unset DEMO_CONTEXT"
  require_root
  lock_recipe
  resolve_components
  alive etcd || die "the cluster is down; start it with e2e/cluster up"
}

component_failed() { die "$1 did not start; see $RUN/log/$1.log"; }

port_is_free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

free_port() {
  local port
  while :; do
    # Below the range that the kernel hands out to outgoing connections.
    port=$((15000 + (RANDOM * 32768 + RANDOM) % 15000))
    if port_is_free "$port"; then printf '%s\n' "$port"; return; fi
  done
}

# A real API server for tests: no controllers, no nodes, no root.
apiserver_alone() {
  [ $# -eq 1 ] || die "usage: e2e/cluster apiserver DIR"
  mkdir -p "$1"
  use_run "$1"
  ! alive kube-apiserver || die "there is one in $RUN already"
  build_components etcd kubernetes
  resolve_components
  (umask 077 && new_ca "$RUN/pki")
  issue "$RUN/pki" apiserver /CN=kube-apiserver DNS:localhost,IP:127.0.0.1
  issue "$RUN/pki" admin /O=system:masters/CN=admin
  rm -rf "$RUN/etcd" "$RUN"/*.sock
  start_etcd || component_failed etcd
  # Another test may take the port between the look and the bind.
  local port tries
  for ((tries = 0; tries < 5; tries++)); do
    port=$(free_port)
    kubeconfig "$RUN/pki" admin "https://127.0.0.1:$port" "$RUN/kubeconfig"
    # Pods are made by the tests, and no controller makes a namespace's default service account.
    start_apiserver "$port" --bind-address 127.0.0.1 --disable-admission-plugins ServiceAccount
    if await_daemon kube-apiserver "$(component_dir kubernetes)/kubectl" --kubeconfig "$RUN/kubeconfig" get --raw /readyz; then
      printf '%s\n' "$RUN/kubeconfig"
      return
    fi
    grep -q 'address already in use' "$RUN/log/kube-apiserver.log" || break
  done
  component_failed kube-apiserver
}

apiserver_stop() {
  [ $# -eq 1 ] || die "usage: e2e/cluster apiserver-stop DIR"
  [ -d "$1" ] || return 0
  use_run "$1"
  [ -d "$RUN/pki" ] || die "no API server was started in $RUN"
  # Nothing of theirs is kept, so there is nothing for them to finish.
  local name
  for name in kube-apiserver etcd; do stop_daemon "$name" 0; done
  rm -rf "$RUN"
}
