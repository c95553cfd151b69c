// What a client of TLS sends: in pieces it has the hellos that it has at once, and none but those that are asked about.

#include "daemon/wire/tls_hellos.h"

#include <string>
#include <vector>

#include "tests/fuzz/pieces.h"

using hutch::daemon::Opening;
using hutch::daemon::TlsHellos;

namespace {

struct Heard {
    std::vector<std::string> names;
    bool taken = true;
    bool operator==(const Heard&) const = default;
};

Heard hear(std::string_view sent, size_t piece) {
    Heard heard;
    TlsHellos hellos([&](const Opening& hello) {
        must(hello.kind == Opening::Kind::kTls);
        heard.names.push_back(hello.name);
        return hello.name.size() < 40;
    });
    for (size_t at = 0; at < sent.size() && heard.taken; at += piece) heard.taken = hellos.take(sent.substr(at, piece));
    return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Arrival arrival(data, size);
    const Heard at_once = hear(arrival.rest, arrival.rest.size() + 1);
    must(at_once == hear(arrival.rest, arrival.piece) && at_once.names.size() <= 2);
    return 0;
}
