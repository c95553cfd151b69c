# The golang image: Debian's Go with git and gcc (for cgo), run as root in a box of the debian image by
# `hutch image build golang`.
# from: debian
set -eu

apt-get update -q
apt-get install -q -y --no-install-recommends golang-go gcc libc6-dev git

# What `go install` makes is found by every command: /usr/local/bin is in its PATH, and boxuser's.
chown boxuser:boxuser /usr/local/bin
su boxuser -c 'go env -w GOBIN=/usr/local/bin GOTELEMETRY=off 2>/dev/null || go env -w GOBIN=/usr/local/bin'

apt-get clean
find /var/lib/apt/lists -type f -delete
go version
