#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <string>
#include <vector>

namespace hutch::netns {

/// A name server, IPv4 or IPv6, port 53.
struct Upstream {
    sockaddr_storage address{};
    socklen_t length = 0;

    [[nodiscard]] const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&address); }
};

/// The servers of a resolv.conf(5): at most three, and the host itself when there is none. Pure.
std::vector<Upstream> parse_resolv_conf(const std::string& text);

/// The name servers of the host as they are now: the file is read again whenever it has changed.
class Upstreams {
  public:
    explicit Upstreams(std::string path) : path_(std::move(path)) {}

    /// Servers are taken in turns: a query begins with the turn `best` (the last server known to have answered) and
    /// ends `count` turns later.
    [[nodiscard]] size_t count() const { return servers_.size(); }
    [[nodiscard]] size_t best() const { return best_; }
    [[nodiscard]] const Upstream& at(size_t turn) const { return servers_[turn % servers_.size()]; }
    void answered(size_t turn) { best_ = turn % servers_.size(); }
    /// Looks at the file. Call it before a new query; a query that is under way may fall on a new list's server.
    void refresh();

  private:
    std::string path_;
    struct stat seen_ {};
    std::vector<Upstream> servers_ = parse_resolv_conf("");
    size_t best_ = 0;
};

}  // namespace hutch::netns
