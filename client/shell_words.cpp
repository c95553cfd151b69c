#include "client/shell_words.h"

namespace hutch::client {

std::vector<std::string> words_of_shell() {
    return {"/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec /bin/sh"};
}

std::vector<std::string> words_of_command(const std::string& command) {
    return {"/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -c \"$1\"; exec /bin/sh -c \"$1\"", "sh",
            command};
}

// Where Debian, Alpine, Fedora and Arch have it.
std::vector<std::string> words_of_subsystem(const std::string& name) {
    if (name != "sftp") return {};
    return {"/bin/sh", "-c",
            "for server in /usr/lib/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/openssh/sftp-server "
            "/usr/libexec/sftp-server; do [ -x $server ] && exec $server; done\n"
            "echo 'hutch-ssh: this box has no sftp-server; install openssh-sftp-server in it, or use "
            "`hutch cp`' >&2\n"
            "exit 127"};
}

}  // namespace hutch::client
