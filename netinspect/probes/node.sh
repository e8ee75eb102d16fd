# The node side of netinspect: reads a plan on stdin, runs its probes, streams the results. POSIX sh. It travels as
# the argument of `sh -c` in the URL of an exec, so it is kept small (comments and indentation stay at home).
# Nothing that it reads is evaluated: an argument of a probe is data from its first byte to its last. No file is written.
#
# Plan, one value a line (plan.py): "KEY NEEDLE" lines, "."; the node's probes; the pods, each with its probes.
# Answer (frames.py): "hello VERSION NETNS"; for each probe "probe KEY NETNS HOW NAME", then its stdout as one gzip
# member, then as another its stderr and a last line "EXIT START END" (of /proc/uptime); at the end "done COUNT".
# A gzip member ends with its CRC-32 and its length (RFC 1952): what was cut or changed on the way shows.
export LC_ALL=C
exec 3>&1
count=0
own=$(readlink /proc/self/ns/net)
own=${own#net:[}
own=${own%]}

header() { # NAME: for the place that the variables say
  count=$((count + 1))
  printf 'probe %s %s %s %s\n' "$key" "$net" "$how" "$1"
  read -r start _ </proc/uptime
}

trailer() { # STDERR-AND-EXIT
  read -r end _ </proc/uptime
  printf '%s %s %s' "$1" "$start" "$end" | gzip -1c
}

emit() { # NAME TIMEOUT ARGV...: runs a probe at the place that the variables say
  header "$1"
  limit=$2
  shift 2
  [ -z "$file" ] || set -- nsenter --net="$file" -- "$@"
  trailer "$({ { timeout -k 2 "$limit" "$@" </dev/null 2>&4 3>&- 4>&-; printf '\n%s' $? >&4; } | gzip -1c >&3; } 4>&1)"
}

tell() { # NAME TEXT: passes on what was read here
  header "$1"
  printf '%s\n' "$2" | gzip -1c
  trailer '
0'
}

here() {
  key=node net=$own how=node file=
}

# A plan that was cut on its way is not run to an end that looks whole: what is not there to read ends the script.
argument() { # reads a count of lines, and so many lines into $value
  read -r lines && IFS= read -r value || exit
  while [ "$lines" -gt 1 ]; do
    lines=$((lines - 1))
    IFS= read -r line || exit
    value="$value
$line"
  done
}

run() { # COMMAND...: reads $left arguments, puts them behind COMMAND and calls it
  while [ "$left" -gt 0 ]; do
    left=$((left - 1))
    argument
    set -- "$@" "$value"
  done
  "$@"
}

probes() { # COMMAND: reads probes and calls COMMAND NAME TIMEOUT ARGV... for each
  read -r todo || exit
  while [ "$todo" -gt 0 ]; do
    todo=$((todo - 1))
    read -r name seconds left || exit
    run "$1" "$name" "$seconds"
  done
}

# Which netns has a process of which pod: "KEY NETNS PID", some of each netns, since the first may end meanwhile. A
# needle is a word of the process's cgroup path, or its end (pod<UID>, cri-containerd-<ID>). conmon bears the
# container's id and lives in the node's netns.
join() {
  awk -v own="$own" '
    $1 == "n" { of[$3] = $2; next }
    /^\/proc\/[0-9]+\/cgroup:/ {
      split($0, part, "/")
      for (i = split($0, word, "[/.:]"); i > 0; i--) {
        w = word[i]
        n = length(w)
        if (w ~ /conmon/) { delete pod[part[3]]; next }
        if (w in of) pod[part[3]] = of[w]
        if (n > 32 && substr(w, n - 31) in of) pod[part[3]] = of[substr(w, n - 31)]
        if (n > 36 && substr(w, n - 35) in of) pod[part[3]] = of[substr(w, n - 35)]
        if (n > 64 && substr(w, n - 63) in of) pod[part[3]] = of[substr(w, n - 63)]
      }
      next
    }
    NF > 2 && split($(NF - 2), part, "/") > 4 && part[3] in pod {
      net = substr($NF, 6, length($NF) - 6)
      if (net != own && seen[pod[part[3]], net]++ < 9) print pod[part[3]], net, part[3]
    }'
}

# "NETNS FILE" of the netns that a mount keeps and that no process is in, seen through a host process's root.
pinned() {
  for root in /proc/1/mountinfo $(grep -ls ' - nsfs ' /proc/[0-9]*/mountinfo); do
    root=${root%/mountinfo}
    [ -e "$root/root/." ] || continue
    printf '%s\n' "$nets" | awk -v root="$root/root" '
      / - nsfs / && $4 ~ /^net:/ {
        if (!seen[$4]++) print substr($4, 6, length($4) - 6), root $5
        next
      }
      { seen[$NF] = 1 }' - "$root/mountinfo" 2>/dev/null | grep . && return
  done
}

# Opens /proc/$pid/ns/net as descriptor 7, 8 or 9, and makes sure that it is what it was taken for: the process
# may have ended, and its number may be another's by now.
hold() {
  case $1 in
    7) command exec 7<"/proc/$pid/ns/net" ;;
    8) command exec 8<"/proc/$pid/ns/net" ;;
    9) command exec 9<"/proc/$pid/ns/net" ;;
    *) return 1 ;;
  esac 2>/dev/null &&
    [ "$(readlink "/proc/self/fd/$1")" = "net:[$net]" ] &&
    printf '%s\n' "$needles" | awk -v key="$key" '$2 == key { print $3 }' | grep -qsF -f - "/proc/$pid/cgroup"
}

each() { # NAME TIMEOUT ARGV...: in every netns of the pod
  for place in $places; do
    net=${place%%,*} file=${place#*,}
    [ "$by" = process ] && how=process || how=pinned:$file
    emit "$@"
  done
}

places_of() { # fills $places with "NETNS,FILE" of the pod $key
  places='' fd=7 by=process
  # No here-document: bash makes a file of a long one.
  for owner in $(printf '%s\n' "$owners" | awk -v key="$key" '$1 == key { print $2 "," $3 }'); do
    net=${owner%,*} pid=${owner#*,}
    case $places in *" $net,"*) continue ;; esac
    hold "$fd" && places="$places $net,/proc/self/fd/$fd" && fd=$((fd + 1))
  done
  [ -z "$places" ] || return
  by=pinned
  # The blank: where none was found, none is looked for again.
  [ "$pins" ] || pins=" $(pinned | head -n 256 | tr ' ' ,)"
  places=$pins
}

for tool in awk grep gzip readlink timeout; do
  command -v "$tool" >/dev/null || {
    echo "$tool: not found" >&2
    exit 127
  }
done
printf 'hello 1 %s\n' "$own"
needles=
while read -r word && [ "$word" != . ]; do
  needles="${needles}n $word
"
done
here
owners='' pins=''
if [ "$needles" ]; then
  # shellcheck disable=SC2062 # the glob is of files
  cgroups=$(printf '%s' "$needles" | awk '{ print $3 }' | grep -sF -f - /dev/null /proc/[0-9]*/cgroup)
  nets=$(ls -ld /proc/[0-9]*/ns/net 2>/dev/null)
  # The lowest PID first: a pod's sandbox is older than what its containers do.
  owners=$(printf '%s%s\n%s\n' "$needles" "$cgroups" "$nets" | join | sort -k3n)
  tell cgroups "$cgroups"
  tell netns "$nets"
  comms=$(printf '%s\n' "$cgroups" | awk -F/ '!seen[$3]++ { print "/proc/" $3 "/comm" }')
  # shellcheck disable=SC2086 # a word a process
  tell comms "$(grep -s '' /dev/null $comms)"
fi
probes emit
read -r pods || exit
while [ "$pods" -gt 0 ]; do
  pods=$((pods - 1))
  read -r key || exit
  places_of
  probes each
done
printf 'done %s\n' "$count"
