#!/usr/bin/env bash
# `git http-backend` behind nginx (Debian packages nginx-light and fcgiwrap) on loopback, over TLS. The
# folder holds cert.pem, key.pem, and admission.conf: who is let in, in nginx's words.
#
#   git_http.sh start FOLDER REPOSITORY http1|http2   prints the address of the bare repository
#   git_http.sh stop FOLDER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

start() {
  local folder=$1 repository=$2 protocol=$3 port
  # What git runs finds no settings of whoever runs the tests. One process, without children that would outlive it.
  env -i PATH="$PATH" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 \
    GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' OWNER_PID="${OWNER_PID:-}" \
    bash -c '. "$1"; start_process "$2" fcgiwrap fcgiwrap -c 1 -s "unix:$2/socket"' \
    start "$(dirname "${BASH_SOURCE[0]}")/process.sh" "$folder"
  wait_until 20 "$folder" fcgiwrap test -S "$folder/socket"
  start_on_free_port "$folder" nginx nginx.conf \
    nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" || {
    cat "$folder/error.log" >&2
    return 1
  }
  echo "https://127.0.0.1:$port/repo"
}

configure() {
  local http2=
  if [ "$protocol" = http2 ]; then
    http2=http2
  fi
  cat <<END
daemon off;
master_process off;
pid $folder/pid;
events { worker_connections 512; }
http {
  log_format seen '\$connection \$status \$body_bytes_sent \$request_method \$uri \$http_authorization';
  access_log $folder/access.log seen;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxied;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  server {
    listen 127.0.0.1:$1 ssl $http2;
    ssl_certificate $folder/cert.pem;
    ssl_certificate_key $folder/key.pem;
    client_max_body_size 0;
    location ~ ^/old(/.*)\$ { return 301 /repo\$1?\$args; }
    location ~ ^/away(/.*)\$ { return 301 https://elsewhere.test/repo\$1?\$args; }
    location ~ ^/repo(/.*)\$ {
      include $folder/admission.conf;
      fastcgi_pass unix:$folder/socket;
      fastcgi_buffering off;
      fastcgi_param SCRIPT_FILENAME $(git --exec-path)/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT $repository;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO \$1;
      fastcgi_param REMOTE_USER tester;
      fastcgi_param REMOTE_ADDR \$remote_addr;
      fastcgi_param QUERY_STRING \$query_string;
      fastcgi_param REQUEST_METHOD \$request_method;
      fastcgi_param CONTENT_TYPE \$content_type;
      fastcgi_param CONTENT_LENGTH \$content_length;
    }
    include $folder/more.conf;
  }
}
END
}

case "${1:-}:$#" in
  start:4) start "$2" "$3" "$4" ;;
  stop:2) stop_process "$2" nginx && stop_process "$2" fcgiwrap ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
