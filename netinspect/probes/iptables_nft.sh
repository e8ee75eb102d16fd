# Runs iptables-nft-save or ip6tables-nft-save, unless the kernel would load a module for it: to print a rule that stands
# in nft's own words (a port, a comment, a mark), the tool asks nft_compat for the xtables match of the same meaning
# (nft_compat.c, nfnl_compat_get_rcu, request_module). POSIX sh, run before a probe. Arguments: FAMILY COMMAND...: ip or
# ip6. What xtables itself has in a rule is loaded for as long as the rule is there.
family=$1
shift
# A kernel without /proc/modules loads none; /proc/version shows that this is all of /proc.
[ -e /proc/modules ] || ! [ -e /proc/version ] || exec "$@"

is_there() { # MODULE SYMBOL
  grep -qs "^$1 " /proc/modules || grep -qsE " $2\$" /proc/kallsyms
}

missing=
need() { # MODULE SYMBOL
  is_there "$1" "$2" || missing="$missing $1"
}

# The words of nft's JSON that stand for what the tool looks up.
words() {
  for table in filter mangle nat raw security; do
    case "$listed" in *"table $family $table {"*)
      nft -j -s list table "$family" "$table" 2>/dev/null || echo '"key": "unreadable"'
      ;;
    esac
  done | grep -oE '"(comment|limit|log|base)":|"key": "[^"]*"|"protocol": "[^"]*", "field": "[^"]*"' | sort -u
}

# `nft list tables` (1.0.6) reads every rule that there is, gigabytes in a large cluster; `list chains` does not.
listed=$({ nft list chains "$family" || echo "failed $?"; } | grep -E '^(table|failed) |^.chain ')
case "
$listed" in *"
failed "*) exit "${listed##*failed }" ;; esac
chains=$(printf '%s\n' "$listed" | grep -c '^.chain ')
if [ "$chains" -gt 2000 ]; then
  # To list so many takes nft long, and gigabytes. Whoever wrote them with iptables-nft uses these.
  found='"comment":
"key": "mark"
"protocol": "tcp", "field": "dport"'
  is_there nft_limit nft_limit_module_init && found="$found
\"limit\":"
  is_there nft_log nft_log_module_init && found="$found
\"log\":"
else
  found=$(words)
fi
unknown=$(printf '%s\n' "$found" | {
  while IFS= read -r word; do
    case $word in
      '') continue ;;
      '"protocol": "ip", "field": "'[sd]'addr"') continue ;;
      '"protocol": "ip", "field": "protocol"') continue ;;
      '"protocol": "ip6", "field": "'[sd]'addr"') continue ;;
      '"protocol": "ip6", "field": "nexthdr"') continue ;;
      '"key": "l4proto"') continue ;;
      '"key": "'[io]'if"') continue ;;
      '"key": "'[io]'ifname"') continue ;;
      '"comment":') need xt_comment comment_mt ;;
      '"limit":') need xt_limit limit_mt ;;
      '"log":') need xt_NFLOG nflog_tg ;;
      '"key": "mark"') need xt_mark mark_mt ;;
      '"key": "pkttype"') need xt_pkttype pkttype_mt ;;
      '"key": "nftrace"') need xt_TRACE trace_tg ;;
      '"protocol": "tcp"'*) need xt_tcpudp tcp_mt ;;
      '"protocol": "udp"'*) need xt_tcpudp tcp_mt ;;
      '"protocol": "th"'*) need xt_tcpudp tcp_mt ;;
      *) missing="$missing $word" ;;
    esac
    need nft_compat nft_compat_module_init
  done
  printf '%s' "$missing"
})
if [ "$unknown" ]; then
  echo "to print rules that are in nft's own words could load kernel modules:$unknown" >&2
  exit 1
fi
exec "$@"
