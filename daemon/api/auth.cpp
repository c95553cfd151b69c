#include "daemon/api/auth.h"

#include <grp.h>
#include <sys/socket.h>

#include <algorithm>
#include <sstream>

#include "daemon/secret.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

Result<std::vector<std::string>> read_key_file(const std::string& path) {
    std::vector<std::string> keys;
    if (path.empty()) return keys;
    std::istringstream lines(TRY(read_secret("api_key_file", path)));
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        if (line.size() < 16) return invalid("api_key_file: a key in " + path + " has fewer than 16 characters");
        keys.push_back(line);
    }
    return keys;
}

Result<Auth> Auth::load(const std::string& key_file, const std::string& socket_group, const KeyRing& keys) {
    Auth auth(keys);
    if (const struct group* found = getgrnam(socket_group.c_str()); found != nullptr) auth.group_ = found->gr_gid;
    auth.keys_ = TRY(read_key_file(key_file));
    return auth;
}

Result<Caller> Auth::by_peer(int socket) const {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return errno_error("reading who asks");
    const std::string who = "user " + std::to_string(peer.uid) + " of this host";
    if (peer.uid == 0) return Caller{kLocalCustomer, true, who};
    std::vector<gid_t> groups(256);
    size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) size = 0;
    groups.resize(size / sizeof(gid_t));
    groups.push_back(peer.gid);
    if (group_ != 0 && std::find(groups.begin(), groups.end(), group_) != groups.end())
        return Caller{kLocalCustomer, true, who};
    return Error{ErrorKind::kUnauthorized, 0,
                 "user " + std::to_string(peer.uid) + " may not use this socket; join its group"};
}

Result<Caller> Auth::by_key(const std::string& key) const {
    bool known = false;
    for (const std::string& candidate : keys_) {
        known |= is_same_secret(candidate, key);
    }
    if (known) return Caller{kLocalCustomer, false, "a key of api_key_file"};
    if (const auto customer = ring_->owner_of(key)) return Caller{*customer, false, "customer " + *customer};
    return Error{ErrorKind::kUnauthorized, 0,
                 key.empty() ? "X-Box-Api-Key: send your API key in this header, or as Authorization: Bearer KEY"
                             : "X-Box-Api-Key: the key is not known"};
}

}  // namespace hutch::daemon
