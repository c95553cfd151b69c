// What a box's agent writes, by each harness: the same events in pieces of any size, and nothing that is not to be
// told.

#include <algorithm>

#include "daemon/agent/harness.h"
#include "tests/fuzz/pieces.h"

using namespace hutch::daemon;

namespace {

struct Told {
    std::string events;
    AgentResult result;
};

Told read(const Harness& harness, std::string_view said, size_t piece) {
    Told told;
    const auto transcript = harness.transcript();
    const auto take = [&told](const AgentEvent& event) {
        must(!event.name.empty() && event.name.size() <= 64);
        must(std::none_of(event.name.begin(), event.name.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f; }));
        told.events += event.name + dump(event.data) + "\n";
    };
    for (size_t at = 0; at < said.size(); at += piece) transcript->feed(said.substr(at, piece), take);
    transcript->end(take);
    told.result = transcript->result();
    return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Harness* const kAll[] = {&claude_code(), &codex(), &opencode(), &custom_harness()};
    if (size < 2) return 0;
    const Harness& harness = *kAll[data[0] % std::size(kAll)];
    const Arrival arrival(data + 1, size - 1);
    const Told at_once = read(harness, arrival.rest, std::max<size_t>(arrival.rest.size(), 1));
    const Told by_pieces = read(harness, arrival.rest, arrival.piece);
    must(at_once.events == by_pieces.events && at_once.result.output == by_pieces.result.output);
    const AgentResult& result = at_once.result;
    must(result.input_tokens >= 0 && result.output_tokens >= 0 && result.cached_input_tokens >= 0);
    must(result.cost_usd >= 0);
    return 0;
}
