# Runs a command in the netns of a pod that was found before. POSIX sh, run as a probe.
# Arguments: NETNS PIDS COMMAND...: the inode that it has to be, and processes that were in it. A process may have ended
# since, and its number may be another's: the descriptor that is entered is checked, not the number.
net=$1 pids=$2
shift 2
for pid in $pids; do
  if { command exec 9<"/proc/$pid/ns/net"; } 2>/dev/null &&
    [ "$(readlink /proc/self/fd/9)" = "net:[$net]" ]; then
    exec nsenter --net=/proc/self/fd/9 -- "$@"
  fi
done
echo "the pod's network namespace is gone: it was restarted or deleted meanwhile" >&2
exit 1
