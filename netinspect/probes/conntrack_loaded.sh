# Runs a command that asks the kernel's connection tracking over netlink, unless the kernel would load a module for it
# (nfnetlink.c, request_module): nothing is loaded on a node. POSIX sh, run before a probe. Arguments: COMMAND...
#
# Where nf_conntrack is built into the kernel, so is what serves netlink, and neither is listed.
if ! [ -e /proc/sys/net/netfilter/nf_conntrack_count ]; then
  echo "there is no connection tracking: the kernel module nf_conntrack is not loaded" >&2
  exit 1
fi
if grep -qs '^nf_conntrack ' /proc/modules && ! grep -qs '^nf_conntrack_netlink ' /proc/modules; then
  echo "the kernel module nf_conntrack_netlink is not loaded, and asking would load it" >&2
  exit 1
fi
exec "$@"
