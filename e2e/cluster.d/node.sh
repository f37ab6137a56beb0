# shellcheck shell=bash
# The node: bridge, containerd, kubelet, kube-proxy, volumes.

# Values that the kubelet, kube-proxy and the bridge change. 'down' writes them back.
readonly SYSCTLS="net/ipv4/ip_forward net/ipv4/conf/all/route_localnet net/bridge/bridge-nf-call-iptables
  vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys
  kernel/keys/root_maxbytes net/netfilter/nf_conntrack_max net/netfilter/nf_conntrack_tcp_timeout_established
  net/netfilter/nf_conntrack_tcp_timeout_close_wait net/netfilter/nf_conntrack_tcp_be_liberal"

save_sysctls() {
  local name
  for name in $SYSCTLS; do
    [ ! -r "/proc/sys/$name" ] || printf '%s %s\n' "$name" "$(cat "/proc/sys/$name")"
  done > "$STATE/sysctls"
}

refuse_foreign_node() {
  local port
  # A node that was ours and still runs is about to be cleaned away.
  for port in "$API_PORT" 10250 10256 10257 10259; do
    port_is_free "$port" || own_process_listens || die "port $port is taken: does another Kubernetes node run on this machine?"
  done
}

# The bridge exists before the first pod, so that its address can be the node's. No name or outside network is needed then.
create_bridge() {
  modprobe -q br_netfilter 2> /dev/null || true
  modprobe -q overlay 2> /dev/null || true
  if ! ip link show "$BRIDGE" > /dev/null 2>&1; then
    ip link add "$BRIDGE" type bridge
    ip addr add "$NODE_IP/${POD_CIDR#*/}" dev "$BRIDGE"
    ip link set "$BRIDGE" up
  fi
  echo 1 > /proc/sys/net/ipv4/ip_forward
  # A service's answer has to pass iptables on its way back over the bridge.
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
  if ! iptables -w -C FORWARD -i "$BRIDGE" -j ACCEPT 2> /dev/null; then
    iptables -w -I FORWARD -i "$BRIDGE" -j ACCEPT
    iptables -w -I FORWARD -o "$BRIDGE" -j ACCEPT
    # The API server is for this machine and its pods.
    iptables -w -I INPUT ! -i lo -p tcp --dport "$API_PORT" -m comment --comment "$BRIDGE" -j DROP
    iptables -w -I INPUT -i "$BRIDGE" -j ACCEPT
  fi
}

start_node() {
  create_cgroups
  if ! alive containerd; then
    write_containerd_config
    local proxy
    # Images of other registries may have to come through a proxy; within the cluster nothing does.
    for proxy in HTTP_PROXY HTTPS_PROXY http_proxy https_proxy; do
      [ -z "${!proxy:-}" ] || DAEMON_ENV+=("$proxy=${!proxy}")
    done
    daemon containerd containerd --config "$STATE/containerd.toml"
    DAEMON_ENV=()
    await_daemon containerd ctr_ version || component_failed containerd
  fi
  import_archive pause "$(pause_key)"
  import_archive coredns "$(coredns_key)"
  if ! alive kubelet; then
    write_kubelet_config
    daemon kubelet "$(component_dir kubernetes)/kubelet" --config "$STATE/kubelet.yaml" --root-dir "$STATE/kubelet" \
      --cert-dir "$STATE/kubelet/pki" --kubeconfig "$STATE/pki/kubelet.kubeconfig" --hostname-override "$NODE" --node-ip "$NODE_IP"
  fi
  if ! alive kube-proxy; then
    write_proxy_config
    daemon kube-proxy "$(component_dir kubernetes)/kube-proxy" --config "$STATE/kube-proxy.yaml" --hostname-override "$NODE"
  fi
  alive volumes || daemon volumes bash "$PARTS/volumes.sh" \
    "$(component_dir kubernetes)/kubectl" "$STATE/admin.kubeconfig" "$STATE/volumes" "$NODE"
}

ctr_() { ctr --address "$STATE/containerd.sock" --namespace k8s.io "$@"; }

# All pods live below a cgroup of the cluster's own, in every hierarchy of cgroup v1 or the one of v2.
cgroup_roots() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts | sort -u
  fi
}

create_cgroups() {
  local root file
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    for file in cpuset cpu io memory pids hugetlb; do
      echo "+$file" > /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null || true
    done
  fi
  for root in $(cgroup_roots); do
    mkdir -p "$root/phasegate"
    # A new cpuset of v1 is empty, and nothing can run in it.
    for file in cpuset.mems cpuset.cpus; do
      if [ -w "$root/phasegate/$file" ] && [ -z "$(cat "$root/phasegate/$file")" ]; then
        cat "$root/$file" > "$root/phasegate/$file"
      fi
    done
  done
}

# The overlay file system cannot stand on another overlay, as in some containers.
snapshotter() {
  local try=$STATE/overlay-try kind=native
  mkdir -p "$try"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" "$try/merged" 2> /dev/null; then
    umount "$try/merged"
    kind=overlayfs
  fi
  rm -rf "$try"
  echo "$kind"
}

write_containerd_config() {
  local kind
  kind=$(snapshotter)
  mkdir -p "$STATE/cni/conf"
  cat > "$STATE/containerd.toml" <<EOF
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:$(pause_key)"
  # Some hosts withhold CAP_SYS_RESOURCE, and no pod starts there without this.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$STATE/cni/conf"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "$kind"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "$STATE/containerd/runc"
EOF
  cat > "$STATE/cni/conf/10-phasegate.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "phasegate", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/ipam",
            "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
EOF
}

# Pods cannot reach a resolver on the machine's loopback, so the first file that names another one counts.
write_resolv_conf() {
  local file
  for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
    awk '$1 == "nameserver" && $2 !~ /^(127\.|::1$)/ && count++ < 3' "$file" 2> /dev/null > "$STATE/resolv.conf" || true
    [ ! -s "$STATE/resolv.conf" ] || break
  done
}

write_kubelet_config() {
  write_resolv_conf
  cat > "$STATE/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  x509: {clientCAFile: $STATE/pki/ca.crt}
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
address: $NODE_IP
containerRuntimeEndpoint: unix://$STATE/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /phasegate
failCgroupV1: false
failSwapOn: false
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $STATE/resolv.conf
podLogsDir: $STATE/pod-logs
volumePluginDir: $STATE/kubelet/volume-plugins
maxPods: 200
# Loaded images have no registry to come back from.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
EOF
}

write_proxy_config() {
  local masquerade=true
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || masquerade=false
  cat > "$STATE/kube-proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/pki/kube-proxy.kubeconfig}
mode: iptables
clusterCIDR: $POD_CIDR
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [127.0.0.0/8]
iptables: {masqueradeAll: $masquerade}
conntrack: {maxPerCore: 0, min: 0}
EOF
}

import_archive() {
  ctr_ images ls -q 2> /dev/null | grep -qxF "localhost/$1:$2" \
    || ctr_ images import --snapshotter "$(snapshotter_in_use)" "$CACHE/images/$1-$2.tar" > /dev/null \
    || die "image $1 could not be imported"
}

snapshotter_in_use() { awk -F'"' '/snapshotter =/ { print $2 }' "$STATE/containerd.toml"; }
