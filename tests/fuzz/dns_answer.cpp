// A name server's answer for a box that may talk to some names: what the box is told of it is what it says of the name,
// and a box's question: what is asked for it is a host's name and no more.

#include "netns/dns_answer.h"

#include "netns/dns_message.h"
#include "netns/domain.h"
#include "tests/fuzz/pieces.h"

using namespace hutch::netns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view packet(reinterpret_cast<const char*>(data), size);
    const auto question = parse_query(packet);
    if (question) {
        const auto read = read_question(question->question);
        if (read) {
            must(host_name(read->name) == read->name);
            const std::string asked = address_query(7, read->name);
            must(parse_query(asked) && read_question(parse_query(asked)->question)->name == read->name);
        }
    }
    std::string query = address_query(7, "a.example");
    const auto answer = parse_answer(packet, "a.example");
    if (!answer) return 0;
    must(answer->addresses.size() <= kMostRecords && answer->code < 16);
    const std::string told = address_answer(query, answer->addresses);
    must(told.size() <= 512 && is_answer(told, 7, parse_query(query)->question));
    const auto again = parse_answer(told, "a.example");
    must(again && again->addresses.size() == std::min(answer->addresses.size(), kMostAnswered));
    return 0;
}
