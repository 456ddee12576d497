# shellcheck shell=bash
# Can this machine run the lab? Looks, tries namespaces that vanish with the probe, changes nothing.

FREE_MB_TO_BUILD=9000  # estimated: binaries, images and Go's caches
FREE_MB_TO_RUN=3000    # estimated: unpacked images, and room for volumes
FREE_MB_OF_MEMORY=2000 # estimated: an empty cluster, and room for pods

check() {  # one sentence on stdout; 0 if the lab can run, else 1
  local reason
  if reason=$(obstacle); then echo "this machine can run the lab: $reason"; else echo "this machine cannot run the lab: $reason"; return 1; fi
}

obstacle() {  # the first thing that is in the way, and 1; or what was found, and 0
  local name free needed=$FREE_MB_TO_RUN memory
  [ "$(uname -s)" = Linux ] || { echo "it is no Linux"; return 1; }
  [ "$(uname -m)" = x86_64 ] || [ "$(uname -m)" = aarch64 ] || { echo "its processor is a $(uname -m)"; return 1; }
  [ "$(id -u)" = 0 ] || { echo "that needs root"; return 1; }
  if ! is_built; then
    needed=$FREE_MB_TO_BUILD
    has_go || { echo "Kubernetes has to be compiled, and there is no Go $NEEDS_GO or later on the PATH"; return 1; }
  fi
  if [ -n "$(missing_packages "${PACKAGES[@]}")" ] && ! type -P apt-get >/dev/null; then
    echo "Debian packages are missing ($(missing_packages "${PACKAGES[@]}" | xargs)), and there is no apt-get"; return 1
  fi
  if pgrep -x kubelet >/dev/null && [ ! -e "$NETNS" ]; then echo "it is a node of a Kubernetes cluster already"; return 1; fi
  unshare --mount --net sh -c 'mount -t tmpfs none /tmp && echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null \
    || { echo "namespaces, mounts or sysctl are not allowed here (an unprivileged container?)"; return 1; }
  for name in memory pids cpu; do
    [ -d "/sys/fs/cgroup/$name" ] || grep -qw "$name" /sys/fs/cgroup/cgroup.controllers 2>/dev/null \
      || { echo "there is no cgroup controller '$name'"; return 1; }
  done
  [ -w /sys/fs/cgroup ] || [ -w /sys/fs/cgroup/memory ] || { echo "cgroups cannot be made here"; return 1; }
  free=$(df -Pm "$(existing_parent "$LAB_HOME")" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$needed" ] || { echo "$free MB are free for $LAB_HOME, $needed are needed"; return 1; }
  memory=$(awk '$1 == "MemAvailable:" {print int($2 / 1024)}' /proc/meminfo)
  [ "$memory" -ge $FREE_MB_OF_MEMORY ] || is_up || { echo "$memory MB of memory are free, $FREE_MB_OF_MEMORY are needed"; return 1; }
  if is_built; then echo "its binaries are in $BIN"; else echo "'lab build' compiles it in about 10 minutes"; fi
}

is_built() { [ -x "$BIN/kubernetes" ] && [ -x "$BIN/coredns" ]; }

existing_parent() {
  local path=$1
  until [ -d "$path" ]; do path=$(dirname "$path"); done
  echo "$path"
}
