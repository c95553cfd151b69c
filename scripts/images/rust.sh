# The rust image: Debian's Rust with Cargo and a linker, run as root in a box of the debian image by
# `hutch image build rust`.
# from: debian
set -eu

apt-get update -q
apt-get install -q -y --no-install-recommends rustc cargo gcc libc6-dev pkg-config git

# What `cargo install` makes is found by every command: /usr/local/bin is in its PATH, and boxuser's.
chown boxuser:boxuser /usr/local/bin
su boxuser -c 'mkdir -p ~/.cargo && printf "[install]\nroot = \"/usr/local\"\n" > ~/.cargo/config.toml'
mkdir -p /usr/local
touch /usr/local/.crates.toml /usr/local/.crates2.json
chown boxuser:boxuser /usr/local/.crates.toml /usr/local/.crates2.json

apt-get clean
find /var/lib/apt/lists -type f -delete
echo "$(rustc --version), $(cargo --version)"
