// The first bytes of a connection: in pieces they tell what they tell at once, and a name has one reading.

#include "daemon/wire/opening.h"

#include <algorithm>

#include "tests/fuzz/pieces.h"

using hutch::daemon::Opening;
using hutch::daemon::OpeningScan;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Arrival arrival(data, size);
    const std::string_view bytes = arrival.rest.substr(0, OpeningScan::kMostBytes);
    const Opening at_once = OpeningScan().look(bytes);
    Opening later;
    OpeningScan scan;
    for (size_t end = 0; end < bytes.size() && later.kind == Opening::Kind::kUnknown;) {
        end = std::min(end + arrival.piece, bytes.size());
        later = scan.look(bytes.substr(0, end));
    }
    must(at_once.kind == later.kind && at_once.name == later.name);
    must(at_once.name.empty() || at_once.kind == Opening::Kind::kTls || at_once.kind == Opening::Kind::kHttp);
    must(at_once.name.size() <= 253 && !at_once.name.starts_with('.') && !at_once.name.ends_with('.'));
    must(std::none_of(at_once.name.begin(), at_once.name.end(),
                      [](unsigned char c) { return c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z') || c == ':'; }));
    return 0;
}
