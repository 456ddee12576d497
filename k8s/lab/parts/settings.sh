# shellcheck shell=bash
# Certificates and configuration files of the cluster's parts, written anew by every `lab up`.

certificate() {  # certificate NAME SUBJECT [SUBJECT_ALT_NAMES]: NAME.key and NAME.crt, signed by ca
  # Python 3.13 refuses certificates without this, and a CA without its key usage.
  echo "authorityKeyIdentifier=keyid" >"$1.extensions"
  [ -z "${3:-}" ] || echo "subjectAltName=$3" >>"$1.extensions"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "$RANDOM$RANDOM" -days 3650 \
    -out "$1.crt" -extfile "$1.extensions"
}

credentials() (  # a certificate for each part of Kubernetes, and the user `admin` for people
  local first=${SERVICE_CIDR%.0/16}.1 user
  cd "$RUN/pki" || exit 1
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /CN=marea-lab \
    -addext keyUsage=critical,digitalSignature,keyCertSign,cRLSign
  certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$first,IP:$NODE_IP"
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate kubelet /O=system:nodes/CN=system:node:lab "DNS:lab,IP:$NODE_IP"
  certificate proxy /CN=system:kube-proxy
  openssl genrsa -out sa.key 2048
  openssl rsa -in sa.key -pubout -out sa.pub
  for user in admin controller-manager scheduler kubelet proxy; do
    kubeconfig $user >"$RUN/$user.conf"
    chmod 600 "$RUN/$user.conf"
  done
)

kubeconfig() {  # kubeconfig USER: on stdout, with certificates inside
  cat <<T
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: $1}}]
clusters:
  - name: lab
    cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
T
}

configurations() {
  # restrict_oom_score_adj: a machine may forbid to raise a process above its OOM priority.
  cat >"$RUN/etc/containerd.toml" <<T
version = 2
root = "$RUN/containerd"
state = "$STATE/containerd"
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/lab/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/etc/cni"
T
  cat >"$RUN/etc/cni/10-pods.conflist" <<T
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$RUN/ipam", "ranges": [[{"subnet": "$POD_CIDR"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
T
  # The eviction limits are low because the disk is shared with whatever else the machine does.
  cat >"$RUN/etc/kubelet.yaml" <<T
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $RUN/pki/kubelet.crt
tlsPrivateKeyFile: $RUN/pki/kubelet.key
clusterDNS: [$NODE_IP]
clusterDomain: cluster.local
resolvConf: $RUN/etc/resolv.conf
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 200Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "0%"}
podLogsDir: $RUN/pod-logs
maxPods: 110
T
  echo "nameserver $NODE_IP" >"$RUN/etc/resolv.conf"
  cat >"$RUN/etc/proxy.yaml" <<T
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $RUN/proxy.conf}
mode: nftables
clusterCIDR: $POD_CIDR
hostnameOverride: lab
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
T
  cat >"$RUN/etc/Corefile" <<T
.:53 {
  bind $NODE_IP
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $RUN/admin.conf
    pods insecure
  }
  cache 5
}
T
}
