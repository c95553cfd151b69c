#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daemon/api/exchange.h"

namespace hutch::daemon {

/// Who may ask.
class Auth {
  public:
    /// Reads the keys, one per line, '#' for comments. The file must not be readable by others: kInvalid says how to
    /// mend it.
    static Result<Auth> load(const std::string& key_file, const std::string& socket_group);

    /// On the Unix socket: root, and members of the socket's group (SO_PEERCRED, SO_PEERGROUPS: unix(7)).
    [[nodiscard]] Result<Caller> by_peer(int socket) const;
    /// On TCP. Every key is compared, each in constant time.
    [[nodiscard]] Result<Caller> by_key(const std::string& key) const;
    [[nodiscard]] bool has_keys() const { return !keys_.empty(); }
    [[nodiscard]] gid_t group() const { return group_; }

  private:
    std::vector<std::string> keys_;
    gid_t group_ = 0;
};

}  // namespace hutch::daemon
