// What a client sends on a connection of HTTP/1: in pieces it has the requests that it has at once, each with a host.

#include "daemon/wire/request_hosts.h"

#include <string>
#include <vector>

#include "tests/fuzz/pieces.h"

using hutch::daemon::RequestHosts;

namespace {

struct Followed {
    std::vector<std::string> heads;
    bool taken = true;
    bool operator==(const Followed&) const = default;
};

Followed follow(std::string_view sent, size_t piece) {
    Followed followed;
    RequestHosts hosts([&](std::string_view head) {
        followed.heads.emplace_back(head);
        return followed.heads.size() < 100;
    });
    for (size_t at = 0; at < sent.size() && followed.taken; at += piece)
        followed.taken = hosts.take(sent.substr(at, piece));
    return followed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Arrival arrival(data, size);
    const Followed at_once = follow(arrival.rest, arrival.rest.size() + 1);
    must(at_once == follow(arrival.rest, arrival.piece));
    for (const std::string& head : at_once.heads) must(head.ends_with("\r\n\r\n"));
    (void)hutch::daemon::may_be_web(arrival.rest);
    return 0;
}
