#!/usr/bin/env bash
# Makes a folder for every volume claim of the class `standard`, and removes it when the claim is
# gone. A daemon of the lab, started by `lab up` inside the cluster's network; argument: the folder
# to put volumes into. It does what a provisioner of a real cluster does, for one node.
set -euo pipefail
FOLDER=$1
CLASS=standard
PROVISIONER=lab.marea.dev/folder

volume() {  # volume NAME SIZE MODES NAMESPACE CLAIM UID
  cat <<T
apiVersion: v1
kind: PersistentVolume
metadata:
  name: $1
  annotations: {pv.kubernetes.io/provisioned-by: $PROVISIONER}
spec:
  capacity: {storage: $2}
  accessModes: [$3]
  storageClassName: $CLASS
  persistentVolumeReclaimPolicy: Delete
  claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: $4, name: $5, uid: $6}
  local: {path: $FOLDER/$1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [lab]}]
T
}

provision() {
  local namespace claim uid phase class size modes
  # A watch ends after half an hour or so, and starts again with everything that is there.
  while true; do
    kubectl get persistentvolumeclaims --all-namespaces --watch --no-headers -o custom-columns=":.metadata.namespace,:.metadata.name,:.metadata.uid,:.status.phase,:.spec.storageClassName,:.spec.resources.requests.storage,:.spec.accessModes" |
      while read -r namespace claim uid phase class size modes; do
        if [ "$class" != "$CLASS" ] || [ "$phase" != Pending ] || [ -d "$FOLDER/pvc-$uid" ]; then continue; fi
        # Root's, as a fresh disk is: a pod without the fsGroup that it needs must fail here too.
        mkdir -p "$FOLDER/pvc-$uid"
        modes=$(tr ' ' ',' <<<"$modes" | tr -d '[]')
        volume "pvc-$uid" "$size" "$modes" "$namespace" "$claim" "$uid" | kubectl create -f - || rm -rf "$FOLDER/pvc-$uid"
      done || true
    sleep 1  # the API server may be down: not in a tight loop
  done
}

reclaim() {
  local name phase provisioner
  while true; do
    kubectl get persistentvolumes --watch --no-headers -o custom-columns=":.metadata.name,:.status.phase,:.metadata.annotations.pv\.kubernetes\.io/provisioned-by" |
      while read -r name phase provisioner; do
        if [ "$phase" != Released ] || [ "$provisioner" != $PROVISIONER ]; then continue; fi
        kubectl delete persistentvolume "$name" --wait=false --ignore-not-found && rm -rf "${FOLDER:?}/$name"
      done || true
    sleep 1
  done
}

trap 'trap - TERM; kill 0' EXIT TERM INT  # with its children: `kubectl --watch` would stay
reclaim &
provision
