// A box's question to the DNS forwarder, and a server's answer: what is passed on is one question, byte for byte.

#include "netns/dns_message.h"

#include "tests/fuzz/pieces.h"

using namespace hutch::netns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view packet(reinterpret_cast<const char*>(data), size);
    const auto query = parse_query(packet);
    if (!query) return 0;
    must(packet.size() <= kMaxDnsQuery && packet.substr(kDnsHeader).starts_with(query->question));
    must(query->question.size() >= 5 && query->question.size() <= 255 + 1 + 63 + 4);
    for (const std::string& answer : {server_failure(packet), refusal(packet)}) {
        must(is_answer(answer, query->id, query->question) && answer.size() == kDnsHeader + query->question.size());
        must(!parse_query(answer));
    }
    std::string other(packet);
    set_dns_id(other, static_cast<uint16_t>(query->id + 1));
    must(!is_answer(other, query->id, query->question) &&
         parse_query(other)->id == static_cast<uint16_t>(query->id + 1));
    (void)is_answer(packet, query->id, packet.substr(packet.size() / 2));
    return 0;
}
