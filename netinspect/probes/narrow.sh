# Runs a command and passes on only lines that hold one of some words: what does not interest need not travel (a table of
# a million flows). POSIX sh, sent as `sh -c`. Arguments: WORDS COMMAND...: the words, a line each, as fixed strings.
# It narrows and does not decide: a line that holds a word by chance comes along. The exit code is the command's; that of
# grep where it failed, as lines may be missing then (1 is no failure: it says that no line holds a word).
words=$1
shift
exec 3>&1
codes=$({ { "$@"; echo $? >&4; } | { grep -F -e "$words" >&3 || [ $? -eq 1 ] || echo 2 >&4; }; } 4>&1)
for code in $codes; do
  [ "$code" -eq 0 ] || exit "$code"
done
[ "$codes" ]
