#!/usr/bin/env bash
# nginx (Debian package nginx-light) on loopback: HTTP/2 over TLS in front of another server. The
# folder holds cert.pem and key.pem.
#
#   proxy.sh start FOLDER UPSTREAM   prints the address; UPSTREAM is a URL
#   proxy.sh stop FOLDER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

start() {
  local folder=$1 upstream=$2 port
  start_on_free_port "$folder" nginx nginx.conf \
    nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" || {
    cat "$folder/error.log" >&2
    return 1
  }
  echo "https://127.0.0.1:$port"
}

configure() {
  cat <<END
daemon off;
master_process off;
pid $folder/pid;
events { worker_connections 512; }
http {
  log_format seen '\$server_protocol \$connection "\$http_user_agent" \$request';
  access_log $folder/access.log seen;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxied;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  server {
    listen 127.0.0.1:$1 ssl http2;
    ssl_certificate $folder/cert.pem;
    ssl_certificate_key $folder/key.pem;
    client_max_body_size 0;
    location / {
      proxy_pass $upstream;
      proxy_set_header Host \$http_host;
      proxy_set_header X-Forwarded-Proto https;
    }
  }
}
END
}

case "${1:-}:$#" in
  start:3) start "$2" "$3" ;;
  stop:2) stop_process "$2" nginx ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
