#!/bin/bash
# Packages whose postinst links manual pages are configured: Java's is the best known. It keeps authorities in a store of
# its own, in which are those that were added to the system's.
# create: --image debian
# want: openjdk version
# want: nothing is half configured
# want: an authority from before is trusted
# want: an authority from after is trusted
quietly() { local said; said=$("$@" 2>&1) || tail -n 5 <<<"$said"; }
export DEBIAN_FRONTEND=noninteractive
quietly sudo apt-get update -qq
authority() {
    openssl req 2>/dev/null -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=From $1" -keyout /dev/null -out "$1.crt"
    sudo cp "$1.crt" /usr/local/share/ca-certificates/
    quietly sudo update-ca-certificates
}
trusted() {
    keytool -list -cacerts -storepass changeit -v 2>/dev/null | grep -q "^Owner: CN=From $1" && echo "an authority from $1 is trusted"
}
authority before
quietly sudo -E apt-get install -qq -y --no-install-recommends default-jre-headless
java -version 2>&1 | head -n 1 | cut -d " " -f 1,2
dpkg --audit | grep . || echo nothing is half configured
authority after
trusted before
trusted after
