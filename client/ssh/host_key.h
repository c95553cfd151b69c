#pragma once

#include <libssh/libssh.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace hutch::client {

/// What clients know this server by.
struct HostKey {
    struct Free {
        void operator()(ssh_key key) const { ssh_key_free(key); }
    };
    std::unique_ptr<ssh_key_struct, Free> key;
    std::string fingerprint;  ///< "SHA256:...", as ssh(1) shows it
};

/// The ed25519 key in that file, which nobody but its owner may read: kInvalid else. Made, with mode 0600, where there
/// is none.
Result<HostKey> open_host_key(const std::string& path);

}  // namespace hutch::client
