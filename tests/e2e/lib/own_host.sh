#!/bin/bash
# Boots the systemd of a root file system with mounts, processes, a network, devices and control groups of its own, as on
# another host. All of that ends with it, but for the control groups, called GROUP, which are the caller's to remove.
#   own_host.sh GROUP ROOT
set -euo pipefail
group=$1 root=$2

# "TYPE OPTIONS DIRECTORY" of the hierarchies that boxes need.
hierarchies() {
    awk '{ split($0, part, " - "); split(part[2], its, " "); print its[1], its[3], $5 }' /proc/self/mountinfo |
        grep -E '^cgroup2 |^cgroup [^ ]*\b(memory|pids|cpu|cpuacct)\b'
}

mount_devices() {
    mount -t tmpfs -o mode=755 tmpfs "$1"
    for device in null zero full random urandom tty; do
        touch "$1/$device"
        mount --bind "/dev/$device" "$1/$device"
    done
    mkdir "$1/pts" "$1/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/pts"
    ln -s pts/ptmx "$1/ptmx"
    ln -s /proc/self/fd "$1/fd"
}

# systemd takes the unified hierarchy alone; those of v1 lie elsewhere, for hutchd.
mount_groups() {
    local mounts type options directory
    mapfile -t mounts < <(hierarchies)
    mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
    for line in "${mounts[@]}"; do
        read -r type options directory <<<"$line"
        [[ $type == cgroup ]] || continue
        mkdir -p "$root/v1/${directory##*/}"
        mount -t cgroup -o "$options" cgroup "$root/v1/${directory##*/}"
    done
}

case ${OWN_HOST:-groups} in
groups)
    while read -r _ _ directory; do
        mkdir "$directory/$group"
        echo $$ >"$directory/$group/cgroup.procs"
    done < <(hierarchies)
    OWN_HOST=processes exec unshare --cgroup --mount "$0" "$@"
    ;;
processes)
    # What is the root of the hierarchy from now on must hold no process (cgroup-v2.rst, "No Internal Process Constraint").
    while read -r type _ directory; do
        [[ $type == cgroup2 ]] || continue
        mkdir "$directory/$group/systemd"
        echo $$ >"$directory/$group/systemd/cgroup.procs"
    done < <(hierarchies)
    OWN_HOST=init exec unshare --pid --net --ipc --uts --fork --kill-child "$0" "$@"
    ;;
init)
    mkdir -p "$root"/{dev,proc,sys,run}
    mount --bind "$root" "$root" # pivot_root(2) wants a mount
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount_devices "$root/dev"
    mount_groups
    cd "$root"
    pivot_root . mnt
    cd /
    umount -l mnt
    # In a container it leaves the clock, modules and settings of the kernel alone.
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null </dev/null
    ;;
esac
