#!/usr/bin/env bash
# Builds etcd, kube-apiserver and kubectl into one binary and prints its path.
# Cold this takes some minutes and 100 MB of downloads; afterwards the binary is taken from
# $IMAGE_UPDATER_TEST_CACHE until one of the files beside this script changes.
#
#   build.sh          builds where needed
#   build.sh --find   prints the path if the binary is there, else fails
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

cache=${IMAGE_UPDATER_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/image-updater-tests}
key=$(cat go.mod go.sum main.go build.sh | sha256sum | cut -c1-16)
binary=$cache/cluster-$key

if [ ! -x "$binary" ]; then
  if [ "${1:-}" = --find ]; then
    exit 1
  fi
  version=$(sed -n 's/^\tk8s.io\/kubernetes \(v1\.[0-9.]*\)$/\1/p' go.mod)
  minor=${version#v1.}
  at=k8s.io/component-base/version
  mkdir -p "$cache"
  # Moved into place when complete, so that a build that was cut off leaves nothing half done.
  CGO_ENABLED=0 go build -trimpath -o "$binary.part" \
    -ldflags "-s -w -X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=${minor%%.*}" . >&2
  mv "$binary.part" "$binary"
  # Binaries of earlier versions of these files.
  find "$cache" -maxdepth 1 -name 'cluster-*' ! -name "cluster-$key" -mmin +1440 -delete
fi
echo "$binary"
