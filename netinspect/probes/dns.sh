# Asks questions with dig, one process a question, so that exit code and output belong to one. POSIX sh, run as a probe.
# Arguments: ROUNDS PAUSE LIMIT, then SERVER PORT PROTOCOL TYPE NAME for each question. In each round all are asked in
# the order given, so that every server is asked under the same conditions; PAUSE seconds (a fraction, if sleep takes
# one) lie between two; after LIMIT seconds no more are begun. All of them are data: none is evaluated.
#
# Answer (parse/dig_runs.py): for each question "run SEQUENCE START EXIT SERVER PORT PROTOCOL TYPE BYTES BYTES", then the
# name and dig's output with its errors, of so many bytes, each with a line end; at the end "done COUNT".
#
# What dig is told: -r no ~/.digrc; -u microseconds; -q a name is one even if it begins with "+" or "@"; one try of two
# seconds; no search list; no EDNS, as getaddrinfo asks without; a truncated answer is shown, not asked again by TCP.
export LC_ALL=C
rounds=$1 pause=$2 limit=$3
shift 3

ask() { # SERVER PORT PROTOCOL TYPE NAME
  read -r start _ </proc/uptime
  [ "$3" = tcp ] && how=+tcp || how=+notcp
  printed=$(
    dig -r -u +nocmd +tries=1 +time=2 +nosearch +noedns +ignore "$how" "@$1" -p "$2" -t "$4" -q "$5" 2>&1 </dev/null
  )
  printf 'run %s %s %s %s %s %s %s %s %s\n%s\n%s\n' \
    "$count" "$start" "$?" "$1" "$2" "$3" "$4" "${#5}" "${#printed}" "$5" "$printed"
}

command -v dig >/dev/null || {
  echo "dig: not found" >&2
  exit 127
}
read -r begun _ </proc/uptime
count=0
left=$((rounds * ($# / 5)))
while [ "$left" -gt 0 ]; do
  left=$((left - 1))
  read -r now _ </proc/uptime
  [ $((${now%.*} - ${begun%.*})) -lt "$limit" ] || break
  [ "$count" -eq 0 ] || sleep "$pause" || exit
  count=$((count + 1))
  ask "$@"
  set -- "$@" "$1" "$2" "$3" "$4" "$5"
  shift 5
done
printf 'done %s\n' "$count"
