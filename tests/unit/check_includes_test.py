"""scripts/check-includes finds what it is there to find, and nothing else: one small tree for each rule."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/check-includes"
HEADERS = [
    "base/file.h", "archives/tar.h", "cgroups/group.h", "netns/slot.h", "runtime/link.h", "overlayfs/store.h", "client/api.h",
    "daemon/host.h", "daemon/config.h", "daemon/api/server.h", "daemon/images/images.h", "daemon/run/run.h",
    "daemon/files/files.h", "daemon/wire/json.h", "daemon/box/box.h", "daemon/store/records.h", "tests/kernel/fixture.h",
]


def check(path, *includes, after=""):
    """The exit status and output for a tree in which `path` has these includes, and then this line."""
    with tempfile.TemporaryDirectory() as root:
        for header in HEADERS:
            (Path(root) / header).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / header).touch()
        source = Path(root) / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("".join(f"#include {include}\n" for include in includes) + after)
        run = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr


class CheckIncludes(unittest.TestCase):
    def kept(self, path, *includes):
        status, said = check(path, *includes)
        self.assertEqual(0, status, said)

    def broken(self, path, include, why):
        status, said = check(path, "<vector>", include)
        self.assertEqual(1, status, f"{path} may include {include}")
        self.assertIn(f"{path}:2: {include[1:-1]} {why}", said)

    def test_lets_what_is_allowed(self):
        self.kept("cgroups/group.cpp", '"cgroups/group.h"', '"base/file.h"', "<sys/stat.h>", "<map>", "<fcntl.h>")
        self.kept("client/copy.cpp", '"archives/tar.h"', '"base/file.h"')
        self.kept("overlayfs/tar.h", '"archives/tar.h"', '"base/file.h"')
        self.kept("daemon/main.cpp", '"daemon/host.h"', '"daemon/api/server.h"', '"netns/slot.h"', "<boost/asio/signal_set.hpp>")
        self.kept("client/main.cpp", "<CLI/CLI.hpp>")
        self.kept("daemon/api/connection.cpp", "<boost/beast/http.hpp>", '"daemon/wire/json.h"', '"daemon/run/run.h"')
        self.kept("daemon/wire/json.h", "<nlohmann/json.hpp>", '"base/file.h"', "<cstdint>")
        self.kept("daemon/store/records.cpp", '"daemon/wire/json.h"')
        self.kept("daemon/store/records.cpp", "<sqlite3.h>", '"daemon/config.h"')
        self.kept("tests/unit/all_test.cpp", '"client/api.h"', '"daemon/api/server.h"', "<archive.h>", "<gtest/gtest.h>")

    def test_base_knows_nobody(self):
        self.broken("base/file.cpp", '"cgroups/group.h"', "is not for base/")
        self.broken("base/file.cpp", '"archives/tar.h"', "is not for base/")
        self.broken("archives/tar.cpp", '"overlayfs/store.h"', "is not for archives/")
        self.broken("netns/slot.cpp", '"archives/tar.h"', "is not for netns/")

    def test_mechanisms_do_not_meet(self):
        self.broken("cgroups/group.cpp", '"runtime/link.h"', "is not for cgroups/")
        self.broken("netns/slot.cpp", '"overlayfs/store.h"', "is not for netns/")

    def test_mechanisms_do_not_know_the_daemon(self):
        self.broken("overlayfs/store.cpp", '"daemon/config.h"', "is not for overlayfs/")

    def test_the_client_knows_the_api_alone(self):
        self.broken("client/api.cpp", '"daemon/config.h"', "is not for client/")
        self.broken("client/api.cpp", '"netns/slot.h"', "is not for client/")

    def test_every_task_has_an_owner(self):
        for line in ("asio::co_spawn(loop, work(), asio::detached);", "        asio::detached);", "co_spawn(executor, work,"):
            status, said = check("daemon/box/box.cpp", "<vector>", after=line)
            self.assertEqual((1, True), (status, "starts a task without an owner" in said), line)
        self.assertEqual(0, check("daemon/spawn.cpp", "<vector>", after="asio::co_spawn(executor, work, token);")[0])
        self.assertEqual(0, check("daemon/run/run.cpp", "<vector>", after="if (command.detached) go();  // co_spawn")[0])

    def test_nothing_includes_a_test(self):
        self.broken("daemon/config.cpp", '"tests/kernel/fixture.h"', "is not for daemon/")

    def test_floors_of_the_daemon(self):
        self.broken("daemon/store/records.cpp", '"daemon/box/box.h"', "is not below daemon/store")
        self.broken("daemon/box/box.h", '"daemon/run/run.h"', "is not below daemon/box")
        self.broken("daemon/run/run.cpp", '"daemon/files/files.h"', "is not below daemon/run")
        self.broken("daemon/images/images.cpp", '"daemon/api/server.h"', "is not below daemon/images")
        self.broken("daemon/api/server.cpp", '"daemon/host.h"', "is not below daemon/api")
        self.broken("daemon/config.cpp", '"daemon/api/server.h"', "is not below daemon/")
        self.broken("daemon/attic/old.cpp", '"daemon/config.h"', "needs a floor for daemon/attic")

    def test_the_cellar_reads_text_and_no_more(self):
        for include in ['"daemon/config.h"', '"daemon/store/records.h"', '"netns/slot.h"']:
            self.broken("daemon/wire/json.cpp", include, "is not ")
        for include in ["<boost/asio/post.hpp>", "<sys/socket.h>", "<unistd.h>", "<openssl/evp.h>"]:
            self.broken("daemon/wire/json.cpp", include, "is not for daemon/wire/")

    def test_json_is_read_and_written_in_one_place(self):
        lines = ["auto a = Json::parse(b);", "nlohmann::json::accept(b)", "a.dump()", "a->dump(2)", '"{}"_json']
        status, said = check("daemon/agent/a.cpp", after="\n".join(lines))
        self.assertEqual((1, len(lines)), (status, said.count("belongs in daemon/wire/json.cpp alone")), said)
        self.assertEqual(0, check("daemon/wire/json.cpp", after="\n".join(lines))[0])
        self.assertEqual(0, check("daemon/agent/a.cpp", after="dump(a); parse_json(b);  // not Json::parse(b)")[0])

    def test_libraries_stay_in_their_place(self):
        for path, include in [
            ("netns/dns.cpp", "<boost/asio/io_context.hpp>"),
            ("daemon/api/server.cpp", "<boost/beast/http.hpp>"),
            ("daemon/box/box.cpp", "<nlohmann/json.hpp>"),
            ("daemon/api/codec.h", "<nlohmann/json.hpp>"),
            ("overlayfs/store.cpp", "<nlohmann/json.hpp>"),
            ("daemon/box/box.cpp", "<sqlite3.h>"),
            ("daemon/doctor.cpp", "<netlink/netlink.h>"),
            ("daemon/doctor.cpp", "<libmnl/libmnl.h>"),
            ("daemon/box/box.cpp", "<seccomp.h>"),
            ("cgroups/group.cpp", "<sys/capability.h>"),
            ("daemon/images/images.cpp", "<archive.h>"),
            ("base/file.cpp", "<liburing.h>"),
            ("netns/dns.cpp", "<curl/curl.h>"),
            ("daemon/box/box.cpp", "<curl/curl.h>"),
            ("client/api.cpp", "<fmt/core.h>"),
            ("base/file.cpp", "<gtest/gtest.h>"),
        ]:
            with self.subTest(path=path, include=include):
                self.broken(path, include, "belongs in")

    def test_a_new_library_needs_a_place(self):
        self.broken("base/file.cpp", "<absl/status/status.h>", "is of a library without a place")
        self.broken("netns/nft.cpp", "<nftables/libnftables.h>", "is of a library without a place")

    def test_own_headers_are_named_from_the_root(self):
        self.broken("cgroups/group.cpp", '"group.h"', "is not there")


if __name__ == "__main__":
    unittest.main()
