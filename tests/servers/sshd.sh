#!/usr/bin/env bash
# sshd (Debian package openssh-server) on loopback with host keys of its own, for whoever runs the tests.
# The folder gets host_ed25519, host_rsa, and their public halves; authorized_keys in it lets clients in.
#
#   sshd.sh start FOLDER VARIABLE   prints the port; VARIABLE of clients is passed on, unless it is `none`
#   sshd.sh stop FOLDER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

start() {
  local folder=$1 variable=$2 port sshd
  sshd=$(command -v sshd || echo /usr/sbin/sshd)
  # As root it wants a folder to lock its unprivileged half into.
  if [ "$(id -u)" = 0 ]; then
    mkdir -p /run/sshd
  fi
  ssh-keygen -q -t ed25519 -N '' -f "$folder/host_ed25519"
  ssh-keygen -q -t rsa -b 2048 -N '' -f "$folder/host_rsa"
  touch "$folder/authorized_keys"
  start_on_free_port "$folder" sshd sshd_config "$sshd" -D -e -f "$folder/sshd_config"
  echo "$port"
}

configure() {
  cat <<END
ListenAddress 127.0.0.1
Port $1
HostKey $folder/host_ed25519
HostKey $folder/host_rsa
PidFile $folder/pid
AuthorizedKeysFile $folder/authorized_keys
# The folder is below one that everybody may write to.
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
# What git runs finds no settings of whoever runs the tests.
SetEnv GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*
END
  if [ "$variable" != none ]; then
    echo "AcceptEnv $variable"
  fi
}

case "${1:-}:$#" in
  start:3) start "$2" "$3" ;;
  stop:2) stop_process "$2" sshd ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
