#!/bin/sh
# Become a host, or a place to prepare one: make a root file system out of overlay layers,
# give it its own /proc, /sys, /dev and /run, make it the root, and run a program in it.
#
#   enter.sh MODE ROOT LOWER UPPER WORK PROGRAM [ARGUMENT...]
#
# MODE is `build` (the machine's resolver, the shared package archive $LAB_ARCHIVES) or
# `boot` (a cgroup tree, a console in $LAB_CONSOLE, without the capabilities in $LAB_DROP).
# Must be started by `unshare --mount --pid --uts --ipc --fork --kill-child` (and --cgroup to
# boot): every mount made here lives and dies with that namespace.
set -eu

mode=$1 root=$2 lower=$3 upper=$4 work=$5
shift 5

mount --make-rprivate /
mount -t overlay overlay \
    -o "lowerdir=$lower,upperdir=$upper,workdir=$work,index=off,metacopy=off,redirect_dir=off" "$root"
cd "$root"

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys

# The machine's own switches are to be read, not turned; /proc/sys/net belongs to the
# network namespace and stays writable.
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir run/proc
mount -t proc proc run/proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind run/proc/sys/net proc/sys/net
umount run/proc
rmdir run/proc
if [ -e proc/sysrq-trigger ]; then
    mount --bind proc/sysrq-trigger proc/sysrq-trigger
    mount -o remount,bind,ro proc/sysrq-trigger
fi

mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm

if [ "$mode" = build ]; then
    mkdir -m 1777 run/lock
    mount --bind "$LAB_ARCHIVES" var/cache/apt/archives
    for file in hosts resolv.conf; do
        [ -e "etc/$file" ] || : >"etc/$file"
        mount --bind "/etc/$file" "etc/$file"
    done
    drop=
else
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
    : >dev/console
    mount --bind "$LAB_CONSOLE" dev/console
    drop=$LAB_DROP
fi

pivot_root . mnt
umount -l /mnt
cd /
if [ -n "$drop" ]; then
    hostname "$(cat /etc/hostname)"
    exec setpriv --bounding-set "$drop" --inh-caps "$drop" "$@" </dev/null >/dev/console 2>&1
fi
exec "$@"
