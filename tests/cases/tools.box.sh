#!/bin/bash
# What people and agents reach for without a thought is there: a release archive is unpacked, a project made, a file edited.
# create: --image debian
# want: content
# want: content
# want: content
# want: content
# want: content
# want: made
# want: patched
# want: found
# want: Zip archive data
# want: loopback
for tool in bzip2 curl file git gpg ip jq killall less locale lsb_release make mount nano patch ping ps python3 ssh sudo unzip vi wget xz zip zstd; do
    command -v $tool >/dev/null || echo "no $tool"
done
mkdir tree && echo content >tree/file
for kind in gz bz2 xz zst; do
    tar -caf tree.tar.$kind tree && tar -xOf tree.tar.$kind tree/file
done
zip -qr tree.zip tree && unzip -p tree.zip tree/file
printf "all:\n\t@echo made\n" | make -sf -
printf -- "--- a\n+++ b\n@@ -1 +1 @@\n-content\n+patched\n" | patch -s tree/file && cat tree/file
jq -r .a <<<"{\"a\": \"found\"}"
file -b tree.zip | cut -d, -f1
ip -json link show lo | jq -r ".[0].link_type"
