# shellcheck shell=bash
# Removes a cluster in any condition: running, half started, or killed outright.

# The folder is removed whole, so it must be one that this program made.
readonly MARK=.phasegate-cluster

# What cannot be removed must not keep the rest from being removed.
clean_remains() {
  [ ! -d "$STATE" ] || [ -e "$STATE/$MARK" ] || rmdir "$STATE" 2> /dev/null \
    || die "$STATE holds something else; set PHASEGATE_STATE to a folder that may be removed"
  (set +e; remove_everything)
  [ ! -e "$STATE" ] || die "$STATE could not be removed; a mount or a process holds it"
}

remove_everything() {
  local name
  # The kubelet first, or it starts again what is being stopped.
  for name in kubelet volumes kube-proxy kube-scheduler kube-controller-manager; do stop_daemon "$name" 3; done
  kill_shims_and_pods
  stop_daemon containerd 5
  for name in kube-apiserver etcd; do stop_daemon "$name" 0; done
  kill_own_processes
  unmount_all
  remove_cgroups
  remove_network
  remove_folders
}

# Processes of ours, wherever their pid files went: a known program whose command line names the state folder.
own_processes() {
  local dir exe
  for dir in /proc/[0-9]*; do
    exe=$(readlink "$dir/exe" 2> /dev/null) || continue
    exe=${exe% (deleted)}
    case ${exe##*/} in
      etcd | kube-apiserver | kube-controller-manager | kube-scheduler | kubelet | kube-proxy | kubectl) ;;
      containerd | containerd-shim* | runc) ;;
      bash) grep -qzE '/cluster\.d/volumes\.sh$' "$dir/cmdline" 2> /dev/null || continue ;;
      *) continue ;;
    esac
    ! tr '\0' ' ' < "$dir/cmdline" 2> /dev/null | grep -qE "(^|[ =:/])${STATE//./\\.}[/ ]" || echo "${dir##*/}"
  done
}

own_process_listens() { [ -n "$(own_processes)" ]; }

kill_own_processes() {
  local pids
  for _ in 1 2 3 4 5; do
    pids=$(own_processes)
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086
    kill -9 $pids 2> /dev/null || true
    sleep 0.2
  done
}

pod_processes() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/phasegate" ] || find "$root/phasegate" -name cgroup.procs -exec cat {} + 2> /dev/null
  done | sort -u
}

kill_shims_and_pods() {
  local pids
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    pids=$(pod_processes)
    [ -n "$pids" ] || break
    # shellcheck disable=SC2086
    kill -9 $pids 2> /dev/null || true
    sleep 0.1
  done
  local dir
  for dir in /proc/[0-9]*; do
    case $(readlink "$dir/exe" 2> /dev/null) in
      */containerd-shim*)
        ! tr '\0' ' ' < "$dir/cmdline" 2> /dev/null | grep -qF -e "-address $STATE/" || kill -9 "${dir##*/}" 2> /dev/null || true
        ;;
    esac
  done
}

# Last mounted, first unmounted. Twice, because a mount can cover another.
unmount_all() {
  local point
  for _ in 1 2; do
    awk -v state="$STATE/" 'index($5, state) == 1 { print $5 }' /proc/self/mountinfo | tac | while read -r point; do
      # The kernel writes blanks in paths as \040.
      umount -l "$(printf '%b' "$point")" 2> /dev/null || true
    done
  done
}

remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$root/phasegate" ] || break
      find "$root/phasegate" -depth -type d -exec rmdir {} \; 2> /dev/null || true
      [ ! -d "$root/phasegate" ] || sleep 0.1
    done
  done
}

remove_network() {
  local tool
  ! ip link show "$BRIDGE" > /dev/null 2>&1 || ip link del "$BRIDGE"
  for tool in iptables ip6tables; do
    if command -v "$tool-save" > /dev/null; then remove_rules "$tool"; fi
  done
  local name value
  if [ -r "$STATE/sysctls" ]; then
    while read -r name value; do
      [ "$(cat "/proc/sys/$name" 2> /dev/null)" = "$value" ] || printf '%s\n' "$value" > "/proc/sys/$name" || true
    done < "$STATE/sysctls"
  fi 2> /dev/null
}

# All other rules of the machine stay, with their counters.
remove_rules() {
  local before after
  before=$("$1-save" -c 2> /dev/null) || return 0
  after=$(awk '
    { line[NR] = $0 }
    /^:KUBE-/ { ours[substr($1, 2)] }
    # The bridge plugin names its chains CNI-<hash>, and its rules after the network.
    /name: \\"phasegate\\"/ { for (i = 1; i < NF; i++) if ($i == "-j" && $(i + 1) ~ /^CNI-/) ours[$(i + 1)] }
    END {
      for (n = 1; n <= NR; n++) {
        count = split(line[n], word, " ")
        drop = line[n] ~ /phasegate0|name: \\"phasegate\\"/
        if (word[1] ~ /^:/ && substr(word[1], 2) in ours) drop = 1
        for (i = 1; i < count; i++) if (word[i] ~ /^-[Ajg]$/ && word[i + 1] in ours) drop = 1
        if (!drop) print line[n]
      }
    }' <<< "$before")
  [ "$before" = "$after" ] || "$1-restore" -c <<< "$after" || say "warning: $1 rules of the cluster could not be removed"
}

remove_folders() {
  local file socket
  # The shims' sockets are outside the state folder, each named by a file in it.
  find "$STATE/containerd/state" -name address -type f 2> /dev/null | while read -r file; do
    socket=$(cat "$file")
    rm -f "${socket#unix://}"
  done
  rmdir /run/containerd/s /run/containerd 2> /dev/null || true
  # CNI plugins keep results by sandbox, beside those of other networks.
  for file in "$STATE"/containerd/root/io.containerd.grpc.v1.cri/sandboxes/*; do
    rm -f /var/lib/cni/results/*-"${file##*/}"-*
  done
  rmdir /var/lib/cni/results /var/lib/cni 2> /dev/null || true
  # The kubelet puts its device socket and its links to logs at fixed places.
  find /var/log/containers -lname "$STATE/*" -delete 2> /dev/null || true
  rmdir /var/log/containers 2> /dev/null || true
  if [ -d /var/lib/kubelet ] && [ "$(ls -A /var/lib/kubelet)" = device-plugins ]; then
    rm -f /var/lib/kubelet/device-plugins/{kubelet.sock,DEPRECATION,kubelet_internal_checkpoint}
    rmdir /var/lib/kubelet/device-plugins /var/lib/kubelet 2> /dev/null || true
  fi
  # A mount that would not go must not be emptied through.
  rm -rf --one-file-system "${STATE:?}"
}
