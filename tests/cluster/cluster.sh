#!/usr/bin/env bash
# A Kubernetes API server with its etcd, on loopback, with all its files in a folder.
#
#   cluster.sh start FOLDER [FLAG...]            etcd, API server, the Application CRD
#   cluster.sh start-etcd FOLDER
#   cluster.sh start-apiserver FOLDER [FLAG...]  on the port it had before, if it had one
#   cluster.sh stop FOLDER                       both
#   cluster.sh stop-apiserver FOLDER
#
# FLAGs go to kube-apiserver, such as --feature-gates=WatchList=false. Writes FOLDER/env: URL, CA_FILE,
# ADMIN_TOKEN and KUBECONFIG (member of system:masters), NOBODY_TOKEN and NOBODY_KUBECONFIG (no
# rights), BINARY (whose first argument may be kubectl).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../servers/process.sh"

start() {
  start_etcd "$1"
  start_apiserver "$@"
  "$BINARY" kubectl --kubeconfig "$1/admin.kubeconfig" apply -f "$here/application-crd.yaml" >&2
  # A new kind answers some seconds after its definition was accepted.
  wait_until 30 "$1" kube-apiserver \
    "$BINARY" kubectl --kubeconfig "$1/admin.kubeconfig" get applications.argoproj.io -A
}

start_etcd() {
  local folder=$1 attempt
  mkdir -p "$folder"
  for attempt in 1 2 3 4 5; do
    local client peer
    client=http://127.0.0.1:$(free_port)
    peer=http://127.0.0.1:$(free_port)
    start_process "$folder" etcd "$BINARY" etcd --name tests --data-dir "$folder/etcd" \
      --log-level warn --unsafe-no-fsync \
      --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
      --initial-cluster "tests=$peer"
    if wait_until 20 "$folder" etcd connects "${client##*:}"; then
      echo "$client" >"$folder/etcd.url"
      return
    fi
    # Somebody else may have taken a port: once more with others, from nothing.
    stop_process "$folder" etcd
    rm -rf "$folder/etcd"
  done
  return 1
}

connects() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

start_apiserver() {
  local folder=$1 attempt port
  shift
  if [ ! -e "$folder/tokens.csv" ]; then
    create_identities "$folder"
  fi
  for attempt in 1 2 3 4 5; do
    port=$(cat "$folder/apiserver.port" 2>/dev/null || free_port)
    start_process "$folder" kube-apiserver "$BINARY" kube-apiserver \
      --etcd-servers "$(cat "$folder/etcd.url")" --cert-dir "$folder/certificates" \
      --bind-address 127.0.0.1 --secure-port "$port" --advertise-address 127.0.0.1 \
      --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/24 \
      --disable-admission-plugins ServiceAccount \
      --service-account-issuer https://kubernetes.default.svc \
      --service-account-key-file "$folder/service-account.key" \
      --service-account-signing-key-file "$folder/service-account.key" \
      --authorization-mode RBAC --token-auth-file "$folder/tokens.csv" "$@"
    write_kubeconfigs "$folder" "https://127.0.0.1:$port"
    if wait_until 60 "$folder" kube-apiserver is_ready "$folder"; then
      echo "$port" >"$folder/apiserver.port"
      return
    fi
    stop_process "$folder" kube-apiserver
    if [ -e "$folder/apiserver.port" ] || ! grep -q 'address already in use' "$folder/kube-apiserver.log"; then
      return 1
    fi
  done
  return 1
}

create_identities() {
  openssl genrsa -out "$1/service-account.key" 2048 2>/dev/null
  {
    echo "$(openssl rand -hex 16),admin,admin,system:masters"
    echo "$(openssl rand -hex 16),nobody,nobody"
  } >"$1/tokens.csv"
}

is_ready() {
  # The server writes its certificate when it starts.
  [ -s "$1/certificates/apiserver.crt" ] &&
    "$BINARY" kubectl --kubeconfig "$1/admin.kubeconfig" get --raw /readyz
}

write_kubeconfigs() {
  local folder=$1 url=$2 name token
  while IFS=, read -r token name _; do
    cat >"$folder/$name.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: tests
clusters:
- name: tests
  cluster: { server: "$url", certificate-authority: "$folder/certificates/apiserver.crt" }
users:
- name: $name
  user: { token: "$token" }
contexts:
- name: tests
  context: { cluster: tests, user: $name }
END
  done <"$folder/tokens.csv"
  cat >"$folder/env" <<END
URL=$url
CA_FILE=$folder/certificates/apiserver.crt
ADMIN_TOKEN=$(sed -n 's/,admin,.*//p' "$folder/tokens.csv")
KUBECONFIG=$folder/admin.kubeconfig
NOBODY_TOKEN=$(sed -n 's/,nobody,.*//p' "$folder/tokens.csv")
NOBODY_KUBECONFIG=$folder/nobody.kubeconfig
BINARY=$BINARY
END
}

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[ $# -ge 2 ] || usage
BINARY=$("$here/build.sh" --find) || {
  echo "the servers are not built: run $here/build.sh" >&2
  exit 1
}
case "$1" in
  start) start "${@:2}" ;;
  start-etcd) start_etcd "$2" ;;
  start-apiserver) start_apiserver "${@:2}" ;;
  stop)
    stop_process "$2" kube-apiserver
    stop_process "$2" etcd
    ;;
  stop-apiserver) stop_process "$2" kube-apiserver ;;
  *) usage ;;
esac
