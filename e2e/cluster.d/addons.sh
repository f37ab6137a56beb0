# shellcheck shell=bash
# What runs in the cluster from the start, and when the cluster counts as ready.

apply_addons() {
  local forward='forward . /etc/resolv.conf'
  # CoreDNS refuses to start on an empty list.
  grep -q nameserver "$STATE/resolv.conf" || forward='template ANY ANY . { rcode NXDOMAIN }'
  sed -e "s|@DNS_IP@|$DNS_IP|" -e "s|@COREDNS_IMAGE@|localhost/coredns:$(coredns_key)|" -e "s|@FORWARD@|$forward|" \
    "$PARTS/manifests/cluster.yaml" | kubectl_admin apply --server-side --force-conflicts -f - > "$STATE/log/addons.log" 2>&1 \
    || die "the cluster's own manifests were refused; see $STATE/log/addons.log"
}

await_ready() {
  await 60 kubectl_admin get node "$NODE" || component_failed kubelet
  kubectl_admin wait "node/$NODE" --for condition=Ready --timeout 60s > /dev/null || component_failed kubelet
  kubectl_admin -n kube-system rollout status deployment/coredns --timeout 90s > /dev/null \
    || die "the cluster's DNS did not become ready; see 'e2e/cluster status'"
  await 30 kubectl_admin --namespace default get serviceaccount default || component_failed kube-controller-manager
  await 30 iptables -w -t nat -S KUBE-SERVICES || component_failed kube-proxy
}
