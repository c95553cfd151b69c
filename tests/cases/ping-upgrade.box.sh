#!/bin/bash
# The upgrade of a package does not break it: ping's postinst gives the program a capability over the network, as fping's
# does, which the kernel must not take for a reason to refuse its start.
# create: --image debian
# want: before: 1 received
# want: after: 1 received
# want: as root: 1 received
# want: fping: Version
# want: a program of one's own starts
received() { "$@" ping -c 1 -W 5 127.0.0.1 2>&1 | grep -o "1 received" || "$@" ping -c 1 -W 5 127.0.0.1 2>&1 | tail -n 1; }
quietly() { local said; said=$("$@" 2>&1) || tail -n 5 <<<"$said"; }
export DEBIAN_FRONTEND=noninteractive
echo "before: $(received)"
quietly sudo apt-get update -qq
quietly sudo -E apt-get install -qq -y --reinstall libcap2-bin iputils-ping
echo "after: $(received)"
echo "as root: $(received sudo)"
quietly sudo -E apt-get install -qq -y --no-install-recommends fping
fping -v 2>&1 | head -n 1 | cut -d " " -f 1,2
cp /bin/echo own && sudo setcap cap_net_bind_service,cap_net_raw=ep own && ./own "a program of one's own starts"
