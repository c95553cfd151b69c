# The python image: Debian's Python 3 with pip and venv, run as root in a box of the debian image by
# `hutch image build python`.
# from: debian
set -eu

apt-get update -q
apt-get install -q -y --no-install-recommends python3-pip python3-venv

# Debian keeps its own Python from pip (PEP 668). So that `pip install` simply works, /usr/local, which comes first in
# every command's PATH, is a virtual environment of boxuser's; it sees what apt installs too.
python3 -m venv --system-site-packages /usr/local
chown -R boxuser:boxuser /usr/local/bin /usr/local/include /usr/local/lib

# pip brings authorities of its own and would not trust those that the host of the box trusts.
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ndisable-pip-version-check = true\n' >/etc/pip.conf

apt-get clean
find /var/lib/apt/lists -type f -delete
echo "$(python3 --version), $(pip --version)"
