# shellcheck shell=bash
# Container images without a container engine: built by buildah, kept as archives, loaded into
# the lab's containerd. They run in the host's network, since builds need Debian's mirror, which
# the cluster cannot reach. An image is built anew only when what goes into it has changed.

image() {  # image DIR TAG [ARG=VALUE…]: build DIR/Dockerfile with DIR as its context, and load it
  if [ $# -lt 2 ] || [ ! -f "$1/Dockerfile" ]; then fail "usage: lab image DIR TAG [ARG=VALUE…]; DIR holds a Dockerfile"; fi
  need_root
  local folder=$1 tag=$2 log pair arguments=(); shift 2
  mkdir -p "$ARCHIVES"
  for pair in "$@"; do arguments+=(--build-arg "$pair"); done
  # As image/build hands them on, for a Dockerfile that runs pip.
  if [ -n "${PIP_CERT:-}" ]; then arguments+=(--secret "id=ca,src=$PIP_CERT"); fi
  if [ -n "${PIP_CONFIG_FILE:-}" ]; then arguments+=(--secret "id=pip,src=$PIP_CONFIG_FILE"); fi
  log=$(archive_of "$tag").log
  # Layers stay in buildah's store, so a build repeats only the steps whose inputs changed.
  buildah build --layers --quiet --isolation chroot --network host "${arguments[@]}" -t "$tag" "$folder" >"$log" 2>&1 \
    || { tail -30 "$log" >&2; fail "$folder/Dockerfile does not build; the whole log is $log"; }
  rm -f "$log"
  load "$tag"
}

load() {  # load TAG: keep what buildah has as TAG for every `up`, and load it now if the lab is up
  need_root
  local tag=${1:-} archive id
  id=$(image_id "$tag")
  [ -n "$id" ] || fail "buildah has no image '$tag': lab image, or buildah build"
  archive=$(archive_of "$tag")
  mkdir -p "$ARCHIVES"
  if [ ! -e "$archive" ] || [ "$id" != "$(cat "$archive.id" 2>/dev/null)" ]; then
    rm -f "$archive" "$archive.new" "$archive.id"
    buildah push --quiet "$tag" "docker-archive:$archive.new:docker.io/$tag" >/dev/null
    mv "$archive.new" "$archive"
    echo "$id" >"$archive.id"
  fi
  if [ -S "$SOCKET" ]; then import "$archive"; fi
}

forget() {  # forget TAG: the opposite of load and image
  need_root
  local archive; archive=$(archive_of "${1:-}")
  if [ -S "$SOCKET" ]; then ctr -a "$SOCKET" -n k8s.io images rm "docker.io/$1" >/dev/null 2>&1 || true; fi
  buildah rmi "$1" >/dev/null 2>&1 || true
  rm -f "$archive" "$archive.id" "$archive.inputs"
}

image_id() { buildah images --no-trunc --quiet "$1" 2>/dev/null | head -1; }
archive_of() { echo "$ARCHIVES/$(tr '/:' '__' <<<"$1").tar"; }
import() { ctr -a "$SOCKET" -n k8s.io images import "$1" >/dev/null; }

images() {  # the stand-ins for public images; a second call only compares what they were made of
  need_root
  install_packages buildah mmdebstrap
  local started=$SECONDS minio job jobs=() base
  minio=$(minio_path)
  stand_in lab/python:3.13 "$(declare -f base_image)" base_image
  base=$(image_id lab/python:3.13)
  # Side by side: mostly they wait for Debian's mirror.
  stand_in lab/valkey:8 "$base $(cat "$LAB_FOLDER/images/valkey/Dockerfile")" image "$LAB_FOLDER/images/valkey" lab/valkey:8 &
  jobs+=($!)
  stand_in lab/rabbitmq:4 "$base $(cat "$LAB_FOLDER/images/rabbitmq/Dockerfile")" image "$LAB_FOLDER/images/rabbitmq" lab/rabbitmq:4 &
  jobs+=($!)
  stand_in lab/minio:1 "$base $(cat "$LAB_FOLDER/images/minio/Dockerfile") $(stat -c %s:%Y "$minio")" minio_image "$minio"
  stand_in lab/pause:1 "$(cat "$LAB_FOLDER"/images/pause/*)" pause_image
  for job in "${jobs[@]}"; do wait "$job" || fail "not every image could be built; the reason is above"; done
  say "images are ready ($((SECONDS - started)) s)"
}

stand_in() {  # stand_in TAG INPUTS COMMAND…: run COMMAND, which makes TAG, unless INPUTS are the same
  local tag=$1 inputs note; inputs=$(sha256sum <<<"$2"); note=$(archive_of "$1").inputs; shift 2
  if [ -e "$(archive_of "$tag")" ] && [ "$(cat "$note" 2>/dev/null)" = "$inputs" ] && [ -n "$(image_id "$tag")" ]; then
    return
  fi
  say "building $tag"
  rm -f "$note"
  "$@"
  echo "$inputs" >"$note"
}

base_image() {  # Debian trixie with Python 3.13: what `python:3.13-slim` is elsewhere
  local folder=$LAB_HOME/context/python log=$LAB_HOME/base.log
  mkdir -p "$folder"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates,curl,tini \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    trixie "$folder/root.tar" >"$log" 2>&1 || { tail -20 "$log" >&2; fail "Debian trixie could not be fetched; the whole log is $log"; }
  printf 'FROM scratch\nADD root.tar /\nCMD ["python3"]\n' >"$folder/Dockerfile"
  image "$folder" lab/python:3.13
  rm -rf "$folder" "$log"
}

minio_image() {  # minio_image BINARY
  local folder=$LAB_HOME/context/minio
  mkdir -p "$folder"
  cp "$LAB_FOLDER/images/minio/Dockerfile" "$1" "$folder"
  image "$folder" lab/minio:1
  rm -rf "$folder"
}

pause_image() {
  local folder=$LAB_HOME/context/pause
  mkdir -p "$folder"
  cp "$LAB_FOLDER/images/pause/Dockerfile" "$folder"
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$folder/pause" "$LAB_FOLDER/images/pause/main.go"
  image "$folder" lab/pause:1
  rm -rf "$folder"
}
