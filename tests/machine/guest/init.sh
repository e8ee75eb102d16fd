#!/bin/busybox sh
# The initramfs: mounts the shared Debian tree as the root and leaves the rest to agent.sh there. A step that fails ends
# this script, and with it process 1: the kernel panics, and the console says at what.
# shellcheck shell=dash
set -ex
/bin/busybox mkdir -p /dev /proc /bin /root
/bin/busybox --install -s /bin
PATH=/bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
for module in /modules/*; do # numbered in the order in which they need each other
  insmod "$module"
done
# The tree does not change while it is shared: what was read once is never asked for again (cache=loose).
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 tree /root
mount -t sysfs sysfs /root/sys
for folder in run tmp var/lib; do
  mount -t tmpfs tmpfs "/root/$folder"
done
cp /agent.sh /root/run/agent.sh
mount -o move /dev /root/dev
mount -o move /proc /root/proc
# switch_root and not chroot: the kernel itself starts /sbin/modprobe, and looks for it at its own root.
exec switch_root /root /bin/sh /run/agent.sh
