# Runs iptables-legacy-save or ip6tables-legacy-save, unless there is no table that it could print: an image without the
# tool can then still say so. POSIX sh, run before a probe. Arguments: NAMES COMMAND...: the file in which the kernel lists
# the tables of the netns. It is not there where the kernel has no such iptables, or has not loaded it.
names=$1
shift
[ -e "$names" ] || exit 0
grep -q . "$names"
# 1: it can be read, and is empty.
[ $? -ne 1 ] || exit 0
exec "$@"
