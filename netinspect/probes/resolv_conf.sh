# Prints the /etc/resolv.conf that processes of a pod see. POSIX sh, run as a probe on the node, with its PIDs.
# Arguments: NEEDLE...: words by which the cgroup paths of the pod's processes are known (plan.py). One process is asked
# of each cgroup, the one with the lowest PID.
#
# Answer (parse/resolv_confs.py): for each process "file PID BYTES", then so many bytes and a line end; or "none PID"
# where it has no such file, or ended meanwhile; at the end "done COUNT".
export LC_ALL=C
count=0 seen='
'
if [ $# -eq 0 ] || ! [ -r /proc/self/cgroup ]; then
  echo "no needle, or no /proc that can be read" >&2
  exit 1
fi

# Sets $found to where PATH leads under ROOT. An absolute link is one from the root of the pod: the kernel, which knows
# only ours, would take it for a file of the debug image.
resolve() { # ROOT PATH
  found=$1 rest=$2 hops=0
  while [ "$rest" ]; do
    part=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    case $part in
      '' | .) continue ;;
      ..) [ "$found" = "$1" ] || found=${found%/*} ;;
      *)
        if link=$(readlink "$found/$part"); then
          hops=$((hops + 1))
          [ "$hops" -le 40 ] || return 1
          case $link in /*) found=$1 ;; esac
          rest=$link${rest:+/$rest}
        else
          found=$found/$part
        fi
        ;;
    esac
  done
}

belongs() { # PID NEEDLE...: whether it is a process of the pod; sets $group
  group=$(timeout 2 cat "/proc/$1/cgroup" 2>/dev/null)
  shift
  for needle; do
    case $group in *"$needle"*) return ;; esac
  done
  return 1
}

patterns=$(printf '%s\n' "$@")
for file in $(grep -lsF -e "$patterns" /proc/[0-9]*/cgroup | sort -t / -k 3n); do
  pid=${file#/proc/} pid=${pid%/cgroup}
  belongs "$pid" "$@" || continue
  case $seen in *"
$group
"*) continue ;; esac
  seen="$seen$group
"
  [ "$count" -lt 32 ] || break
  count=$((count + 1))
  if resolve "/proc/$pid/root" etc/resolv.conf && [ -f "$found" ] &&
    text=$(timeout 2 head -c 65536 "$found" 2>/dev/null) && belongs "$pid" "$@"; then
    printf 'file %s %s\n%s\n' "$pid" "${#text}" "$text"
  else
    printf 'none %s\n' "$pid"
  fi
done
printf 'done %s\n' "$count"
