# shellcheck shell=bash
# What runs, in which version, and whether it is well.

status() {
  local rc=0
  if [ -z "$DEMO_CONTEXT" ]; then
    require_root
    [ -d "$STATE" ] || { say "the cluster is down"; return 1; }
    resolve_components
    status_components || rc=1
    echo
    alive kube-apiserver || return 1
  else
    [ -f "$STATE/admin.kubeconfig" ] || { say "not attached; run e2e/cluster up"; return 1; }
    kubectl_admin() { kubectl --kubeconfig "$STATE/admin.kubeconfig" "$@"; }
  fi
  kubectl_admin get nodes
  echo
  kubectl_admin get pods --all-namespaces
  return "$rc"
}

status_components() {
  local name pid health all=0
  printf '%-24s %-12s %-8s %s\n' COMPONENT VERSION PID HEALTH
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy volumes; do
    pid=- health=dead
    if alive "$name"; then
      pid=$(pid_of "$name") health=ok
      healthy "$name" > /dev/null 2>&1 || health=unhealthy
    fi
    [ "$health" = ok ] || all=1
    printf '%-24s %-12s %-8s %s\n' "$name" "$(version_of "$name")" "$pid" "$health"
  done
  return "$all"
}

healthy() {
  case $1 in
    etcd) kubectl_admin get --raw /readyz/etcd ;;
    kube-apiserver) kubectl_admin get --raw /readyz ;;
    kube-controller-manager) probe https://127.0.0.1:10257 ;;
    kube-scheduler) probe https://127.0.0.1:10259 ;;
    containerd) ctr_ version ;;
    kubelet) probe http://127.0.0.1:10248 ;;
    kube-proxy) probe http://127.0.0.1:10256 ;;
    volumes) kubectl_admin get storageclass standard ;;
  esac
}

probe() { kubectl_admin --server "$1" --insecure-skip-tls-verify get --raw /healthz; }

version_of() {
  case $1 in
    etcd) "$(component_dir etcd)/etcd" --version 2> /dev/null | awk '/etcd Version/ { print "v" $3 }' ;;
    containerd) containerd --version | awk '{ print $3 }' ;;
    volumes) echo - ;;
    *) echo "$KUBERNETES_VERSION" ;;
  esac
}
