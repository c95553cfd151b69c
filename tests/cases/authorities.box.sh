#!/bin/bash
# An authority of one's own is trusted by whatever runs, not by the distribution's programs alone: one is added to the
# system's, and a server with its certificate is asked by all. So it is for those of the host, which the image brings.
# create: --image agents
# want: command: /etc/ssl/certs/ca-certificates.crt
# want: sudo: /etc/ssl/certs/ca-certificates.crt
# want: login: /etc/ssl/certs/ca-certificates.crt
# want: curl: hello
# want: wget: hello
# want: git: hello
# want: node: hello
# want: npm: hello
# want: python: hello
# want: pip with roots of its own: hello
# want: node by sudo: hello
echo "command: $NODE_EXTRA_CA_CERTS"
echo "sudo: $(sudo sh -c "echo \$NODE_EXTRA_CA_CERTS")"
echo "login: $(sudo su - boxuser -c "echo \$NODE_EXTRA_CA_CERTS")"

mkdir site && echo hello >site/index.html
git init -q --bare site/repo.git && git -C site/repo.git update-server-info
cd "$(mktemp -d)" || exit
openssl req 2>/dev/null -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=An authority of ours" -keyout ca.key -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl req 2>/dev/null -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem
openssl x509 -req -in request.pem -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out cert.pem 2>/dev/null \
    -extfile <(echo subjectAltName=DNS:localhost)
sudo cp ca.crt /usr/local/share/ca-certificates/ours.crt
sudo update-ca-certificates >/dev/null 2>&1

cat >server.py <<END
import functools, http.server, os, ssl, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
handler = functools.partial(Quiet, directory="/workspace/home/site")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
END
mkfifo up
python3 server.py >up 2>/dev/null </dev/null &
trap "kill %1" EXIT
read -r _ <up

url=https://localhost:8443/index.html
fetch="require(\"https\").get(\"$url\", r => r.pipe(process.stdout)).on(\"error\", e => console.log(e.message))"
echo "curl: $(curl -sS $url 2>&1)"
echo "wget: $(wget -qO- $url 2>&1)"
echo "git: $(git ls-remote https://localhost:8443/repo.git 2>&1 && echo hello)"
echo "node: $(node -e "$fetch")"
echo "npm: $(npm view --registry https://localhost:8443/ nothing 2>&1 | grep -q E404 && echo hello)"
echo "python: $(python3 -c "import urllib.request; print(urllib.request.urlopen(\"$url\").read().decode().strip())" 2>&1 | tail -n 1)"
python3 -m venv venv
echo "pip with roots of its own: $(venv/bin/pip -vvv download --retries 0 --index-url https://localhost:8443/ nothing 2>&1 | grep -q '" 404' && echo hello)"
echo "node by sudo: $(sudo node -e "$fetch")"
