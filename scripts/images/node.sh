# The node image: Node 22 with npm, run as root in a box of the debian image by `hutch image build node`.
# Debian's Node 18 and npm fetch the `node` package of the npm registry, whose binary also runs TypeScript files as they
# are. Where that registry cannot be reached or the binary does not run, Debian's own stay.
# from: debian
set -eu

certificates=/etc/ssl/certs/ca-certificates.crt
modules=/usr/local/lib/node_modules

# npm and node come with authorities of their own and would not trust those that the host of the box trusts.
# Run once for each npm: where the global settings are is a matter of its prefix.
trust_system_authorities() {
    npm config set --global cafile "$certificates"
}

apt-get update -q
apt-get install -q -y --no-install-recommends nodejs npm
trust_system_authorities

if npm install --global --prefix /usr/local --no-fund --no-audit --no-update-notifier node@22 npm@10 &&
    echo 'const answer: number = 42; console.log(answer)' >/tmp/probe.ts &&
    [ "$(/usr/local/bin/node --no-warnings /tmp/probe.ts)" = 42 ]; then
    apt-get purge -qq -y --autoremove nodejs npm
    hash -r
    trust_system_authorities
else
    echo "images/node.sh: the image keeps Debian's Node: Node 22 could not be had from the npm registry" >&2
    rm -rf $modules/node $modules/npm
    rm -f /usr/local/bin/node /usr/local/bin/npm /usr/local/bin/npx
fi
npm config set --global update-notifier false

# boxuser installs global packages without sudo, and finds them: /usr/local/bin is in every command's PATH.
mkdir -p $modules
chown -R boxuser:boxuser /usr/local/bin $modules
rm -rf /root/.npm
apt-get clean
find /var/lib/apt/lists -type f -delete
echo "node $(node --version), npm $(npm --version)"
