# Process 1 of the machine: runs the scripts that come through a virtio port, one after the other, and sends back what
# they said. Both sides count bytes, so that nothing has to be escaped (agent.py is the other side):
#
#   request   SECONDS SCRIPT-BYTES STDIN-BYTES \n script stdin
#   answer    EXIT STDOUT-BYTES STDERR-BYTES \n stdout stderr
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# What udev makes elsewhere (udev(7)): bash's process substitution and many scripts name them.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
hostname machine
ip link set lo up
modprobe virtio_console
port=$(basename "$(dirname "$(grep -lx netinspect /sys/class/virtio-ports/*/name)")")
exec 3<>"/dev/$port" || exit
work=/run/agent
mkdir "$work"
cd / || exit

printf 'ready %s\n' "$(uname -r)" >&3
while read -r seconds script_size stdin_size <&3; do
  rm -f "$work"/* # not emptied: a process that an earlier script left behind may still write there
  head -c "$script_size" <&3 >"$work/script"
  head -c "$stdin_size" <&3 >"$work/stdin"
  timeout -k 2 "$seconds" sh -c "$(cat "$work/script")" <"$work/stdin" >"$work/stdout" 2>"$work/stderr" 3>&-
  exit_code=$?
  # shellcheck disable=SC2046 # two numbers
  set -- $(stat -c %s "$work/stdout" "$work/stderr")
  printf '%s %s %s\n' "$exit_code" "$1" "$2" >&3
  head -c "$1" "$work/stdout" >&3
  head -c "$2" "$work/stderr" >&3
done
