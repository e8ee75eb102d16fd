# Runs a command that asks a part of the kernel over netlink, unless the kernel would load a module for it (nfnetlink.c,
# request_module): nothing is loaded on a node. POSIX sh, run before a probe.
# Arguments: MODULE SYMBOL EMPTY COMMAND...: the module, a function that it exports, and what the command prints where
# there is nothing. Where the kernel has no such part, nothing can be there: EMPTY is the answer, without asking.
#
# A module that is built in is not listed. The kernel's symbols tell: their names can be read by everybody, and
# register_pernet_subsys, which every kernel with a network has, shows that they are all there.
module=$1 symbol=$2 empty=$3
shift 3
if ! grep -qs "^$module " /proc/modules; then
  case $(grep -sE " (register_pernet_subsys|$symbol)\$" /proc/kallsyms) in
    *" $symbol"*) ;;
    *register_pernet_subsys*)
      echo "the kernel has no $module: it is not built in, and the module is not loaded" >&2
      [ -z "$empty" ] || printf '%s\n' "$empty"
      exit 0
      ;;
    *)
      # A kernel without /proc/modules loads none; /proc/version shows that this is all of /proc.
      if [ -e /proc/modules ] || ! [ -e /proc/version ]; then
        echo "the kernel module $module is not loaded, and asking could load it (/proc/kallsyms does not tell)" >&2
        exit 1
      fi
      ;;
  esac
fi
exec "$@"
