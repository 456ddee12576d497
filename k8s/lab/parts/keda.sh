# shellcheck shell=bash
# A real KEDA in the lab, to put the autoscaler beside: compiled from its Go module, once. Its images
# are loaded when asked for and not by every `up`: they are 200 MB.

KEDA_FOLDER=$LAB_FOLDER/keda

keda() {
  need_root
  is_up || fail "the cluster is not up: lab up"
  local part module archive
  for part in operator adapter; do
    keda_binary "$part"
    archive=$LAB_HOME/keda/$part.tar
    if [ ! -e "$archive" ] || [ "$BIN/keda-$part" -nt "$archive" ]; then
      rm -rf "$LAB_HOME/keda/$part"; mkdir -p "$LAB_HOME/keda/$part"
      ln -f "$BIN/keda-$part" "$LAB_HOME/keda/$part/keda"
      printf 'FROM scratch\nCOPY keda /keda\nUSER 1000\nENTRYPOINT ["/keda"]\n' >"$LAB_HOME/keda/$part/Dockerfile"
      buildah build --quiet --isolation chroot -t "lab/keda-$part:1" "$LAB_HOME/keda/$part" >/dev/null
      rm -f "$archive"
      buildah push --quiet "lab/keda-$part:1" "docker-archive:$archive:docker.io/lab/keda-$part:1" >/dev/null
    fi
    import "$archive"
  done
  module=$(cd "$KEDA_FOLDER" && go list -m -f '{{.Dir}}' github.com/kedacore/keda/v2)
  inside kubectl kustomize "$module/config/default" | python3 "$KEDA_FOLDER/local_images.py" \
    | inside kubectl apply --server-side -f - >/dev/null
  inside kubectl -n keda rollout status deployment --timeout=180s >&2
}

keda_binary() {  # keda_binary operator|adapter
  [ -x "$BIN/keda-$1" ] && return
  say "compiling KEDA's $1 (10 minutes for both)"
  (cd "$KEDA_FOLDER" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$BIN/keda-$1.new" \
    "github.com/kedacore/keda/v2/cmd/$1" && mv "$BIN/keda-$1.new" "$BIN/keda-$1")
}
