#include "netns/upstreams.h"

#include <fcntl.h>
#include <netdb.h>

#include <cstring>
#include <memory>
#include <sstream>

#include "base/file.h"

namespace hutch::netns {
namespace {

constexpr size_t kMaxServers = 3;  // MAXNS of resolv.h

// getaddrinfo knows scoped addresses ("fe80::1%eth0"); told AI_NUMERICHOST it asks nobody.
bool parse_server(const std::string& text, Upstream& server) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(text.c_str(), "53", &hints, &found) != 0) return false;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
    std::memcpy(&server.address, found->ai_addr, found->ai_addrlen);
    server.length = found->ai_addrlen;
    return true;
}

bool same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

std::vector<Upstream> parse_resolv_conf(const std::string& text) {
    std::vector<Upstream> servers;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && servers.size() < kMaxServers;) {
        std::istringstream words(line);
        std::string keyword;
        std::string address;
        Upstream server;
        if (words >> keyword >> address && keyword == "nameserver" && parse_server(address, server)) {
            servers.push_back(server);
        }
    }
    if (servers.empty()) {
        Upstream server;
        parse_server("127.0.0.1", server);
        servers.push_back(server);
    }
    return servers;
}

void Upstreams::refresh() {
    struct stat now {};
    if (stat(path_.c_str(), &now) != 0 || same_file(now, seen_)) return;
    auto text = read_file_at(AT_FDCWD, path_);
    if (!text.ok()) return;  // what was known still holds
    seen_ = now;
    servers_ = parse_resolv_conf(*text);
    best_ = 0;
}

}  // namespace hutch::netns
