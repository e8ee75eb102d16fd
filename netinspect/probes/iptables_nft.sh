# Runs iptables-nft-save or ip6tables-nft-save, after a look at the rules with nft. POSIX sh, run before a probe.
# Arguments: FAMILY COMMAND...: ip or ip6.
#
# It is not run where the kernel would load a module for it: to print a rule that stands in nft's own words (a port, a
# comment, a mark), the tool asks nft_compat for the xtables match of the same meaning (nft_compat.c,
# nfnl_compat_get_rcu, request_module). What xtables itself has in a rule is loaded for as long as the rule is there.
#
# And it prints some rules in nft's own words wrongly, with exit code 0 (1.8.9: `ip saddr @set drop` as `-j DROP`). A
# table with a rule of another form than those that iptables-nft writes, and that it reads back, is named beforehand, in
# a line like those of the tool: "# Table `filter' holds ..." (parse/iptables_save.py).
family=$1
shift
# A kernel without /proc/modules loads none; /proc/version shows that this is all of /proc.
[ -e /proc/modules ] || ! [ -e /proc/version ] && can_load=1 || can_load=

is_there() { # MODULE SYMBOL
  grep -qs "^$1 " /proc/modules || grep -qsE " $2\$" /proc/kallsyms
}

missing=
need() { # MODULE SYMBOL
  is_there "$1" "$2" || missing="$missing $1"
}

# `nft list tables` (1.0.6) reads every rule that there is, gigabytes in a large cluster; `list chains` does not.
# Where nft dies it may leave half a line. A line a table of iptables: its name, how many chains it has, and its base
# chains.
tables=$({ nft list chains "$family" || printf '\nfailed %s\n' $?; } | awk '
  $1 == "failed" { failed = $0 }
  $1 == "table" { table = $3; names[++tables] = table }
  $1 == "chain" { chain = $2; chains[table]++ }
  / hook / && chain ~ /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/ { base[table] = base[table] " " chain }
  END {
    if (failed) print failed
    else while (at++ < tables)
      if (names[at] ~ /^(filter|mangle|nat|raw|security)$/) print names[at], chains[names[at]] + 0 base[names[at]]
  }')
case "
$tables" in *"
failed "*) exit "${tables##*failed }" ;; esac

# Prints the tables as nft's JSON. Of a table with very many chains only the base chains: all would take nft long, and
# gigabytes. Whoever wrote so many with iptables-nft uses the words that are assumed then.
list() {
  printf '%s\n' "$tables" | while read -r table chains bases; do
    if [ "${chains:-0}" -le 2000 ]; then
      [ -z "$table" ] || nft -j -s list table "$family" "$table" 2>/dev/null || printf '\n"key": "unreadable"\n'
      continue
    fi
    for chain in $bases; do
      nft -j -s list chain "$family" "$table" "$chain" 2>/dev/null || printf '\n"key": "unreadable"\n'
    done
    printf '%s\n' '"comment":' '"key": "mark"' '"protocol": "tcp", "field": "dport"'
    is_there nft_limit nft_limit_module_init && echo '"limit":'
    is_there nft_log nft_log_module_init && echo '"log":'
  done
}

# Out come the words that stand for what the tool looks up, and a line "wrong TABLE CHAIN" for each rule that is left
# with something when all is taken out of it that the tool reads as it is; "done" at the end.
found=$(list | awk '
  function say(word) { if (!said[word]++) print word }
  function words(text) {
    while (match(text, /"(comment|limit|log|base)":|"key": "[^"]*"|"protocol": "[^"]*", "field": "[^"]*"/)) {
      say(substr(text, RSTART, RLENGTH))
      text = substr(text, RSTART + RLENGTH)
    }
  }
  function field(name, text) {
    match(text, "\"" name "\": \"[^\"]*\"")
    return substr(text, RSTART + length(name) + 5, RLENGTH - length(name) - 6)
  }
  # Of two conditions on the same field the tool keeps the last.
  function is_twice(pattern, text) { return gsub(pattern, "&", text) > 1 }
  function look(text, rule, whole) {
    rule = text
    sub(/^.*"expr": %/, "", rule)
    whole = rule
    # Protocol 0 is printed as none.
    gsub(/"right": ("ip"|"hopopt"|0)>>/, "zero", rule)
    gsub(/<"payload": <"protocol": "ip6?", "field": "[sd]addr">>/, "ADDRESS", rule)
    gsub(/<"&": %ADDRESS, "[^"]*";>/, "ADDRESS", rule)
    gsub(/<"payload": <"protocol": "(ip", "field": "protocol|ip6", "field": "nexthdr)">>|<"meta": <"key": "([io]ifname|[io]if|l4proto|pkttype)">>/, "NAME", rule)
    gsub(/<"payload": <"protocol": "(tcp|udp)", "field": "[sd]port">>/, "PORT", rule)
    gsub(/<"meta": <"key": "mark">>|<"&": %<"meta": <"key": "mark">>, [0-9]+;>/, "MARK", rule)
    gsub(/<"&": %<"payload": <"protocol": "tcp", "field": "flags">>, [^;]*;?[^;]*;>/, "FLAGS", rule)
    gsub(/"(in|!)", "left": <"payload": <"protocol": "tcp", "field": "flags">>/, "\"==\", \"left\": FLAGS", rule)
    gsub(/<"match": <"op": "[=!]=", "left": <"&": %<"payload": <"protocol": "ip", "field": "frag-off">>, 8191;>, zero/, "", rule)
    gsub(/<"match": <"op": "[=!]=", "left": ADDRESS, "right": ("[^"@][^"]*"|<"prefix": <"addr": "[^"]*", "len": [0-9]+>>)>>/, "", rule)
    gsub(/<"match": <"op": "[=!]=", "left": NAME, "right": ("[^"@][^"]*"|[0-9]+)>>/, "", rule)
    gsub(/<"match": <"op": "[=!<>]=?", "left": PORT, ("right": ([0-9]+|<"range": %[0-9]+, [0-9]+;>)>>|zero)/, "", rule)
    gsub(/<"match": <"op": "[=!]=", "left": MARK, ("right": ([0-9]+|<"prefix": <"addr": [0-9]+, "len": [0-9]+>>)>>|zero)/, "", rule)
    gsub(/<"match": <"op": "[=!]=", "left": FLAGS, ("right": ("[a-z]+"|[0-9]+|%[^;]*;|<"\|": %[^;]*;>)>>|zero)/, "", rule)
    gsub(/<"limit": <"rate": [0-9]+, "burst": [0-9]+, "per": "(second|minute|hour|day)">>/, "", rule)
    sub(/<"log": <("prefix": "[^"]*", )?"group": [0-9]+(, "snaplen": [0-9]+)?(, "queue-threshold": [0-9]+)?>>;/, ";", rule)
    gsub(/<"mangle": <"key": <"meta": <"key": "nftrace">>, "value": 1>>/, "", rule)
    gsub(/<"xt": (null|<[^<>]*>)>|<"counter": (null|<[^<>]*>)>|<"(accept|drop|return|continue)": null>/, "", rule)
    gsub(/<"(jump|goto)": <"target": "[^"]*">>/, "", rule)
    if (rule !~ /^[, ]*;>>/ ||
        is_twice("\"field\": \"saddr\"", whole) || is_twice("\"field\": \"daddr\"", whole) ||
        is_twice("\"field\": \"sport\"", whole) || is_twice("\"field\": \"dport\"", whole) ||
        is_twice("\"field\": \"flags\"", whole) || is_twice("\"l4proto\"|\"protocol\">|\"nexthdr\"", whole) ||
        is_twice("\"key\": \"iif(name)?\"", whole) || is_twice("\"key\": \"oif(name)?\"", whole))
      say("wrong " field("table", text) " " field("chain", text))
  }
  {
    # No string holds a quote then, and there are no braces and brackets, which mean something in a pattern.
    gsub(/\\[\\"]/, "")
    gsub(/[{]/, "<")
    gsub(/[}]/, ">")
    gsub(/\[/, "%")
    gsub(/\]/, ";")
    count = split($0, parts, /<"rule": /)
    for (at = 1; at <= count; at++) words(parts[at])
    for (at = 2; at <= count; at++) look(parts[at])
  }
  END { say("done") }')
unknown=$(printf '%s\n' "$found" | {
  while IFS= read -r word; do
    case $word in
      '') continue ;;
      wrong*) continue ;;
      'done') continue ;;
      '"protocol": "ip", "field": "'[sd]'addr"') continue ;;
      '"protocol": "ip", "field": "protocol"') continue ;;
      '"protocol": "ip", "field": "frag-off"') continue ;;
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
if [ "$can_load" ] && [ "$unknown" ]; then
  echo "to print rules that are in nft's own words could load kernel modules:$unknown" >&2
  exit 1
fi
case $found in
  *'"key": "unreadable"'*) ;;
  *'done') looked=1 ;;
esac
if ! [ "${looked-}" ]; then
  echo "nft could not list the tables of iptables" >&2
  exit 1
fi
printf '%s\n' "$found" | awk '
  $1 == "wrong" { sub(/^wrong /, ""); table = $1; sub(/^[^ ]* /, ""); in_chains[table] = in_chains[table] " " $0 }
  END {
    for (table in in_chains)
      print "# Table `" table "\047 holds rules in nft\047s own words that iptables-nft-save may print wrongly, in:" in_chains[table]
  }'
exec "$@"
