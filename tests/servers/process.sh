# Sourced by the scripts that start servers for the tests: one process per name and folder, known by
# its id in <folder>/<name>.pid, its output in <folder>/<name>.log.
#
# If OWNER_PID is set, a server ends with the process of that id, however that ends, and its folder is
# removed.

# start_process FOLDER NAME PROGRAM [ARGUMENT...]
start_process() {
  local folder=$1 name=$2
  shift 2
  setsid "$@" >>"$folder/$name.log" 2>&1 </dev/null &
  echo $! >"$folder/$name.pid"
  if [ -n "${OWNER_PID:-}" ]; then
    setsid bash -c 'tail --pid="$1" -f /dev/null; kill -KILL "$2"; rm -rf "$3"' \
      reaper "$OWNER_PID" $! "$folder" >/dev/null 2>&1 </dev/null &
    echo $! >"$folder/$name.reaper.pid"
  fi
}

# is_running FOLDER NAME
is_running() {
  local pid
  pid=$(cat "$1/$2.pid" 2>/dev/null) && is_alive "$pid"
}

# is_alive PID: an ended process that nobody has waited for does not count.
is_alive() {
  local state
  state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}

# stop_process FOLDER NAME: by KILL, because an API server with a watch open does not end on TERM.
# Returns when the process is gone, so that its port and files are free.
stop_process() {
  local pid
  if pid=$(cat "$1/$2.reaper.pid" 2>/dev/null); then
    # The whole group: the reaper's own child waits for the owner.
    kill -KILL -- "-$pid" 2>/dev/null || true
  fi
  if pid=$(cat "$1/$2.pid" 2>/dev/null); then
    kill -KILL "$pid" 2>/dev/null || true
    while is_alive "$pid"; do sleep 0.02; done
  fi
  rm -f "$1/$2.pid" "$1/$2.reaper.pid"
}

# wait_until SECONDS FOLDER NAME COMMAND [ARGUMENT...]: polls the command. Fails when the time is over
# or the process has ended, with the end of its output.
wait_until() {
  local deadline=$((SECONDS + $1)) folder=$2 name=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! is_running "$folder" "$name" || [ "$SECONDS" -ge "$deadline" ]; then
      echo "$name is not ready; the end of $folder/$name.log:" >&2
      tail -n 15 "$folder/$name.log" >&2
      return 1
    fi
    sleep 0.05
  done
}

# start_on_free_port FOLDER NAME FILE PROGRAM [ARGUMENT...]: a server on a port of its own, which is left in
# `port`. FILE in the folder gets what the caller's `configure PORT` prints.
start_on_free_port() {
  local folder=$1 name=$2 file=$3 attempt
  shift 3
  for attempt in 1 2 3 4 5; do
    port=$(free_port)
    configure "$port" >"$folder/$file"
    start_process "$folder" "$name" "$@"
    # Somebody else may have taken the port meanwhile.
    if wait_until 20 "$folder" "$name" is_open "$port" 2>"$folder/wait.log"; then
      return
    fi
    stop_process "$folder" "$name"
  done
  cat "$folder/wait.log" >&2
  return 1
}

# is_open PORT: somebody listens there.
is_open() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port: a port on which nobody listens, below those that the kernel gives to clients. Somebody
# else can take it meanwhile, so callers try again.
free_port() {
  local port hex
  while :; do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
    printf -v hex ':%04X ' "$port"
    grep -qs "$hex" /proc/net/tcp /proc/net/tcp6 || break
  done
  echo "$port"
}
