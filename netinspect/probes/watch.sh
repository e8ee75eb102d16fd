# Runs a command whose output is watched live, for as long as the other end gives signs of life (watch.py). POSIX sh, sent
# as `sh -c`. Arguments: LIMIT SILENCE COMMAND...: seconds that the command may run at most, and seconds without a byte on
# standard input after which nobody is taken to listen any more. The exit code is the command's; 124 after LIMIT; 129
# (SIGHUP) where standard input ended or was silent. Nothing that it reads is evaluated. No file is written.
limit=$1 silence=$2
shift 2
for tool in head timeout "$1"; do
  command -v "$tool" >/dev/null || {
    echo "$tool: not found" >&2
    exit 127
  }
done
# coreutils' timeout leads a group of its own, and passes on no signal before it knows whom to; busybox' has none, and is
# the command itself.
end() {
  kill -s "$1" -- "-$child" || kill -s "$1" "$child"
}

exec 8<&0
timeout -k 2 "$limit" "$@" </dev/null 8<&- &
child=$!
# A lost client is seen in two ways: its end of standard input is closed, or, where a network swallowed even that, no
# byte comes. SIGHUP, because conntrack itself handles SIGTERM, by printing: into a pipe that nobody reads.
{
  while beat=$(timeout -k 1 "$silence" head -c 1 <&8) && [ "$beat" ]; do
    :
  done
  end HUP
  sleep 3
  end KILL
} >/dev/null 2>&1 &
watcher=$!
exec 8<&-
wait "$child"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
