# shellcheck shell=bash
# Starting and stopping the cluster. What it keeps is under $RUN and $STATE, and both are gone
# after `down`; after a crash, a reboot or a kill of everything, `up` begins by a `down`.
#
# Daemons are started in the namespace's network and the host's everything else. They are children
# of nobody (own sessions), so that the end of a terminal or of a CI job is not theirs.

STARTED=(etcd apiserver controller-manager scheduler coredns containerd kubelet proxy volumes)

inside() { nsenter --net="$NETNS" "$@"; }  # 'ip netns exec' remounts /sys, which hides the cgroups

is_up() { [ -S "$SOCKET" ] && [ -e "$KUBECONFIG" ] && [ -e "$NETNS" ] && inside kubectl get --raw /readyz >/dev/null 2>&1; }

up() {
  need_root
  build
  if is_up; then say "already up"; echo "$KUBECONFIG"; return; fi
  [ -e "$(archive_of lab/pause:1)" ] || pause_image
  local started=$SECONDS
  down
  # Half a cluster is worse than none: whatever ends this early also cleans up, logs excepted.
  trap 'give_up' EXIT
  mkdir -p "$RUN"/{pki,log,pids,etc/cni,volumes} "$STATE" "$ARCHIVES"
  network
  credentials 2>"$RUN/log/credentials.log"
  configurations
  start_control_plane
  start_node
  trap - EXIT
  say "up in $((SECONDS - started)) s"
  echo "$KUBECONFIG"
}

give_up() {
  say "stopped at: $BASH_COMMAND"
  local kept=$LAB_HOME/failed-logs
  rm -rf "$kept"
  mv "$RUN/log" "$kept" 2>/dev/null
  stop_everything
  say "the cluster did not start, and what had started is stopped; logs of its parts are in $kept"
}

network() {
  local name=${NETNS##*/}
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip -n "$name" link add node0 type veth peer name node1
  ip -n "$name" link set node1 up
  ip -n "$name" addr add "$NODE_IP/24" dev node0
  ip -n "$name" link set node0 up
  # kube-proxy and kubelet ask for the interface of the default route; nothing listens there.
  ip -n "$name" route add default via "${NODE_IP%.1}.254" dev node0
  inside sysctl -qw net.ipv4.ip_forward=1
  modprobe br_netfilter 2>/dev/null || true
  inside sysctl -qw net.bridge.bridge-nf-call-iptables=1
}

start() {  # start NAME COMMAND…: a daemon inside the cluster's network
  local name=$1; shift
  setsid nsenter --net="$NETNS" "$@" >"$RUN/log/$name.log" 2>&1 </dev/null 8>&- 9>&- &
  echo $! >"$RUN/pids/$name"
  disown
}

wait_for() {  # wait_for NAME SECONDS COMMAND…: until it succeeds, or the daemon NAME has died
  local name=$1 deadline=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$(cat "$RUN/pids/$name")" 2>/dev/null \
      || { tail -3 "$RUN/log/$name.log" >&2; fail "$name ended by itself; its log is $LAB_HOME/failed-logs/$name.log"; }
    [ $SECONDS -lt $deadline ] || { tail -3 "$RUN/log/$name.log" >&2; fail "$name is not ready in time; its log is $LAB_HOME/failed-logs/$name.log"; }
    sleep 0.2
  done
}

start_control_plane() {
  local pki=$RUN/pki archive
  start containerd containerd -c "$RUN/etc/containerd.toml"
  wait_for containerd 60 ctr -a "$SOCKET" version
  # Before the API server, not beside it: it gives up where its first minute is too slow, which
  # happened on a busy machine.
  for archive in "$ARCHIVES"/*.tar; do import "$archive"; done
  # No fsync: this cluster's state ends with it, and a slow disk would stall the API.
  start etcd etcd --data-dir "$RUN/etcd" --unsafe-no-fsync --log-outputs stderr --logger zap \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
  start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$NODE_IP" \
    --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=Node,RBAC --allow-privileged \
    --enable-aggregator-routing --kubelet-preferred-address-types=InternalIP \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --proxy-client-cert-file="$pki/admin.crt" --proxy-client-key-file="$pki/admin.key" \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=admin \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra-
  wait_for apiserver 90 inside kubectl get --raw /readyz
  # No leader election: the only one there is would end itself when a busy machine makes it late.
  start controller-manager kube-controller-manager --kubeconfig="$RUN/controller-manager.conf" --leader-elect=false \
    --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/sa.key" --use-service-account-credentials
  start scheduler kube-scheduler --kubeconfig="$RUN/scheduler.conf" --leader-elect=false
  start coredns coredns -conf "$RUN/etc/Corefile"
}

start_node() {
  start kubelet kubelet --config="$RUN/etc/kubelet.yaml" --kubeconfig="$RUN/kubelet.conf" \
    --hostname-override=lab --node-ip="$NODE_IP" --root-dir="$RUN/kubelet"
  start proxy kube-proxy --config="$RUN/etc/proxy.yaml"
  inside kubectl apply -f "$LAB_FOLDER/storage.yaml" >/dev/null
  start volumes "$LAB_FOLDER/parts/volumes.sh" "$RUN/volumes"
  wait_for kubelet 60 is_node_ready
  wait_for controller-manager 30 inside kubectl -n default get serviceaccount default
}

is_node_ready() {
  [ "$(inside kubectl get node lab -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

status() {
  need_root
  local name pid dead=0
  [ -d "$RUN/pids" ] || fail "not up"
  for name in "${STARTED[@]}"; do
    pid=$(cat "$RUN/pids/$name" 2>/dev/null || true)
    if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then echo "up    $name"; else echo "DOWN  $name: $RUN/log/$name.log"; dead=1; fi
  done
  inside kubectl get nodes,pods,persistentvolumes -A -o wide
  return $dead
}

down() {
  need_root
  local was=
  [ ! -d "$RUN" ] || was=yes
  stop_everything
  [ -z "$was" ] || [ "$COMMAND" != down ] || say "down"
}

stop_everything() {
  local name pid pids=()
  set +e  # every step is tried, whatever an earlier one met
  for name in $(printf '%s\n' "${STARTED[@]}" | tac); do
    pid=$(cat "$RUN/pids/$name" 2>/dev/null) && is_daemon "$pid" && { kill "$pid"; pids+=("$pid"); }
  done 2>/dev/null
  gone 10 "${pids[@]}"
  # What is left in the namespace, then the containers: their shims live in the host's network.
  ip netns pids "${NETNS##*/}" 2>/dev/null | xargs -r kill -9 2>/dev/null
  for pid in $(shims); do
    # shellcheck disable=SC2046 # several ids
    kill -9 $(ps -o pid= --ppid "$pid") "$pid" 2>/dev/null
    pids+=("$pid")
  done
  # Whatever a shim left behind when it was the first to go is still in the pods' control groups.
  for pid in $(find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -name cgroup.procs \
    -exec cat {} + 2>/dev/null | sort -u); do
    kill -9 "$pid" 2>/dev/null
    pids+=("$pid")
  done
  gone 10 "${pids[@]}"
  mounts_under "$RUN" "$STATE" | sort -r | while read -r name; do umount -l "$name"; done
  pod_namespaces | while read -r name; do ip netns del "$name" 2>/dev/null; done
  ip netns del "${NETNS##*/}" 2>/dev/null
  find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -depth -type d -exec rmdir {} + 2>/dev/null
  rm -rf --one-file-system "$RUN" "$STATE"
  set -e
}

pod_namespaces() { awk '{print $5}' /proc/self/mountinfo | sed -nE 's#^/(var/)?run/netns/(cni-.*)#\2#p' | sort -u; }
# After a reboot a file of pids may name somebody else's process.
is_daemon() { [ "$(readlink "/proc/$1/ns/net")" = "$(netns_id)" ]; }
netns_id() { echo "net:[$(stat -Lc %i "$NETNS")]"; }
shims() { ps -eo pid=,args= | awk -v socket="$SOCKET" '$2 ~ /containerd-shim/ && index($0, socket) {print $1}'; }
mounts_under() { awk -v a="$1/" -v b="$2/" 'index($5, a) == 1 || index($5, b) == 1 {print $5}' /proc/self/mountinfo; }

gone() {  # gone SECONDS PID…: waits until they have ended, then ends them
  local deadline=$((SECONDS + $1)) pid; shift
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
  done
}
