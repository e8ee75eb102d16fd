# Prints each nft table that is not one of iptables' as nft's JSON, a line a table. POSIX sh, run as a probe. Arguments:
# flags of nft (-s without counters, -t without elements of sets). What a table of iptables holds is read by
# iptables-save, which says it in iptables' words.
# `nft list tables` (1.0.6) reads every rule that there is, in gigabytes of a large cluster; `list chains` does not.
# Where nft dies it may leave half a line.
tables=$({ nft list chains || printf '\nfailed %s\n' $?; } | grep -E '^(table|failed) ')
printf '%s\n' "$tables" | {
  code=0
  while read -r word family name; do
    [ "$word" != failed ] || code=$family
    [ "$word" = table ] || continue
    name=${name% *}
    case ",ip,ip6," in
      *",$family,"*) case ",filter,mangle,nat,raw,security," in *",$name,"*) continue ;; esac ;;
    esac
    case $name in
      # nft joins its arguments to one text: a name that is more than a name to it is not asked for.
      *[!0-9A-Za-z/_.-]*)
        echo "a table with an uncommon name was not read: $family $name" >&2
        code=1
        ;;
      *) nft -j "$@" list table "$family" "$name" || code=$? ;;
    esac
  done
  exit "$code"
}
