#!/usr/bin/env bash
# nginx (Debian package nginx-light) on loopback: HTTP/2 over TLS in front of another server. The
# folder holds cert.pem and key.pem.
#
#   proxy.sh start FOLDER UPSTREAM   prints the address; UPSTREAM is a URL
#   proxy.sh stop FOLDER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

start() {
  local folder=$1 upstream=$2 attempt port
  for attempt in 1 2 3 4 5; do
    port=$(free_port)
    configure "$folder" "$upstream" "$port" >"$folder/nginx.conf"
    start_process "$folder" nginx nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log"
    # Somebody else may have taken the port meanwhile.
    if wait_until 20 "$folder" nginx is_open "$port" 2>"$folder/wait.log"; then
      echo "https://127.0.0.1:$port"
      return
    fi
    stop_process "$folder" nginx
  done
  cat "$folder/wait.log" "$folder/error.log" >&2
  return 1
}

configure() {
  cat <<END
daemon off;
master_process off;
pid $1/pid;
events { worker_connections 512; }
http {
  log_format seen '\$server_protocol \$connection "\$http_user_agent" \$request';
  access_log $1/access.log seen;
  client_body_temp_path $1/body;
  proxy_temp_path $1/proxied;
  fastcgi_temp_path $1/fastcgi;
  uwsgi_temp_path $1/uwsgi;
  scgi_temp_path $1/scgi;
  server {
    listen 127.0.0.1:$3 ssl http2;
    ssl_certificate $1/cert.pem;
    ssl_certificate_key $1/key.pem;
    client_max_body_size 0;
    location / {
      proxy_pass $2;
      proxy_set_header Host \$http_host;
      proxy_set_header X-Forwarded-Proto https;
    }
  }
}
END
}

is_open() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

case "${1:-}:$#" in
  start:3) start "$2" "$3" ;;
  stop:2) stop_process "$2" nginx ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
