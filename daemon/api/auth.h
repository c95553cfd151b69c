#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daemon/api/exchange.h"
#include "daemon/api/key_ring.h"

namespace hutch::daemon {

/// The keys in a file, one per line, '#' for comments; none where no file is named. Nobody but the owner may look into
/// it: kInvalid says how to mend it.
Result<std::vector<std::string>> read_key_file(const std::string& path);

/// Who may ask.
class Auth {
  public:
    static Result<Auth> load(const std::string& key_file, const std::string& socket_group, const KeyRing& keys);

    /// On the Unix socket: root, and members of the socket's group (SO_PEERCRED, SO_PEERGROUPS: unix(7)).
    [[nodiscard]] Result<Caller> by_peer(int socket) const;
    /// On TCP. A key of the file is the host's own customer, one of the ring the customer it was made for. Every key is
    /// compared, each in constant time.
    [[nodiscard]] Result<Caller> by_key(const std::string& key) const;
    [[nodiscard]] bool has_keys() const { return !keys_.empty() || !ring_->list().empty(); }
    [[nodiscard]] gid_t group() const { return group_; }

  private:
    explicit Auth(const KeyRing& keys) : ring_(&keys) {}
    const KeyRing* ring_;
    std::vector<std::string> keys_;
    gid_t group_ = 0;
};

}  // namespace hutch::daemon
