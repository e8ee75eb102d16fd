# Runs a command and passes on only lines that a pattern does not match: what is not asked for need not travel (rules of
# single endpoints, which are nine of ten). POSIX sh, run as a probe. Arguments: PATTERN COMMAND...: extended, of grep.
# The exit code is the command's; that of grep where it failed, as lines may be missing then (1 is no failure).
pattern=$1
shift
exec 3>&1
codes=$({ { "$@"; echo $? >&4; } | { grep -vE -e "$pattern" >&3 || [ $? -eq 1 ] || echo 2 >&4; }; } 4>&1)
for code in $codes; do
  [ "$code" -eq 0 ] || exit "$code"
done
[ "$codes" ]
