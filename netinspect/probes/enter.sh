# Runs a command in a pod's netns, with the pod's own resolv.conf and hosts (exec.py). POSIX sh, sent as `sh -c`.
# Arguments: NETNS PIDS FILE TIED COMMAND...: the inode that it has to be, processes of the pod, a mount that keeps
# the netns (for a pod without processes), and whether the command is to end when standard input does.
net=$1 pids=$2 file=$3 tied=$4
shift 4

is_it() { # whether descriptor 9 is the netns that was found before
  [ "$(readlink /proc/self/fd/9)" = "net:[$net]" ]
}

found=
for pid in $pids; do
  { command exec 9<"/proc/$pid/ns/net"; } 2>/dev/null && is_it && found=1 && break
done
if [ -z "$found" ] && [ "$file" ]; then
  { command exec 9<"$file"; } 2>/dev/null && is_it && found=1
fi
if [ -z "$found" ]; then
  echo "netinspect: the pod's network namespace is gone: it was restarted or deleted meanwhile" >&2
  exit 1
fi

# In a mount namespace of its own: the files of a process of the pod over ours, and a /sys that shows the pod's links.
# What a file is copied to is a tmpfs that is unmounted again: the bind mounts keep it alive.
inner='
pids=$1
shift
mount --make-rprivate / 2>/dev/null
mount -t tmpfs -o size=1m tmpfs /dev/shm || exit 1
for name in resolv.conf hosts; do
  for pid in $pids none; do
    file=/proc/$pid/root/etc/$name
    link=$(readlink "$file") && case $link in
      /*) file=/proc/$pid/root$link ;; # absolute: from the root of the pod, not from ours
      *) file=/proc/$pid/root/etc/$link ;;
    esac
    [ -f "$file" ] && timeout 2 cat "$file" >"/dev/shm/$name" 2>/dev/null && break
  done
  if [ "$pid" = none ]; then
    echo "netinspect: no process of the pod has an /etc/$name; the debug image has its own" >&2
  else
    mount --bind "/dev/shm/$name" "/etc/$name" || echo "netinspect: /etc/$name is the debug image its own" >&2
  fi
done
umount /dev/shm
mount -t sysfs -o ro sysfs /sys 2>/dev/null
command -v "$1" >/dev/null || {
  echo "netinspect: the debug image has no $1: name another with --image" >&2
  exit 127
}
exec "$@"
'
set -- nsenter --net=/proc/self/fd/9 -- unshare -m sh -c "$inner" netinspect "$pids" "$@"
[ "$tied" ] || exec "$@"
exec 8<&0
"$@" </dev/null 8<&- &
child=$!
{ cat <&8 >/dev/null; kill "$child"; } 2>/dev/null &
watcher=$!
wait "$child"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
