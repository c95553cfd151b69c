# The ruby image: Debian's Ruby with Bundler and what builds native gems, run as root in a box of the debian image by
# `hutch image build ruby`.
# from: debian
set -eu

apt-get update -q
apt-get install -q -y --no-install-recommends ruby ruby-dev bundler build-essential git

# boxuser installs gems without sudo, and finds their commands: Debian's Ruby keeps gems in /var/lib/gems and their
# commands in /usr/local/bin.
mkdir -p /var/lib/gems
chown -R boxuser:boxuser /var/lib/gems /usr/local/bin

apt-get clean
find /var/lib/apt/lists -type f -delete
echo "$(ruby --version), $(bundle --version)"
