#!/bin/bash
# Packages whose postinst links manual pages are configured: Java's is the best known.
# create: --image debian
# want: openjdk version
# want: nothing is half configured
quietly() { local said; said=$("$@" 2>&1) || tail -n 5 <<<"$said"; }
export DEBIAN_FRONTEND=noninteractive
quietly sudo apt-get update -qq
quietly sudo -E apt-get install -qq -y --no-install-recommends default-jre-headless
java -version 2>&1 | head -n 1 | cut -d " " -f 1,2
dpkg --audit | grep . || echo nothing is half configured
