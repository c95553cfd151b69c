// A request's head: in pieces it is what it is at once, and what is taken has one reading. So has a host of public
// URLs.

#include <algorithm>

#include "daemon/wire/framing.h"
#include "daemon/wire/preview_host.h"
#include "tests/fuzz/pieces.h"

using hutch::daemon::HeadScan;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Arrival arrival(data, size);
    if (const auto host = hutch::daemon::parse_preview_host(arrival.rest, "x.y")) {
        const auto again = hutch::daemon::parse_preview_host(hutch::daemon::preview_host(*host, "x.y"), "x.y");
        must(again && again->box == host->box && again->port == host->port && host->port != 0);
    }
    HeadScan at_once;
    const auto refusal = at_once.look(arrival.rest);
    HeadScan by_pieces;
    std::optional<hutch::daemon::Refusal> later;
    for (size_t end = 0; end < arrival.rest.size() && by_pieces.size() == 0 && !later;) {
        end = std::min(end + arrival.piece, arrival.rest.size());
        later = by_pieces.look(arrival.rest.substr(0, end));
    }
    must(refusal.has_value() == later.has_value());
    if (refusal) {
        must(refusal->status == later->status && refusal->sentence == later->sentence && !refusal->sentence.empty());
        return 0;
    }
    must(at_once.size() == by_pieces.size() && at_once.size() <= HeadScan::kMostBytes);
    const std::string_view head = arrival.rest.substr(0, at_once.size());
    must(head.empty() || head.ends_with("\r\n\r\n"));
    must(head.empty() ||
         (head.find("\n ") == head.npos && head.find("\n\t") == head.npos && head.find('\0') == head.npos));
    return 0;
}
