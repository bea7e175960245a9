#!/usr/bin/env bash
# A Docker registry (Debian package docker-registry) on loopback, with its storage in a folder.
#
#   registry.sh start FOLDER [USER PASSWORD]   prints the address; basic authentication if a user is given
#   registry.sh stop FOLDER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

start() {
  local folder=$1
  mkdir -p "$folder/storage"
  {
    cat <<END
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: $folder/storage
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
END
    if [ $# -gt 1 ]; then
      htpasswd -Bbn -C 4 "$2" "$3" >"$folder/htpasswd" 2>/dev/null
      cat <<END
auth:
  htpasswd:
    realm: tests
    path: $folder/htpasswd
END
    fi
  } >"$folder/config.yml"
  start_process "$folder" registry docker-registry serve "$folder/config.yml"
  wait_until 20 "$folder" registry listening_on "$folder/registry.log"
  listening_on "$folder/registry.log"
}

# The kernel chooses the port, so that two registries never collide.
listening_on() {
  sed -n 's/.*msg="listening on \(127\.0\.0\.1:[0-9]*\).*/http:\/\/\1/p' "$1" | tail -n 1 | grep .
}

case "${1:-}:$#" in
  start:2 | start:4) start "${@:2}" ;;
  stop:2) stop_process "$2" registry ;;
  *)
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
