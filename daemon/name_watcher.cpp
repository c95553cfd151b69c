#include "daemon/name_watcher.h"

#include "netns/dns_answer.h"

namespace hutch::daemon {

void NameWatcher::refused(netns::Ipv4 box, std::string_view question) {
    const auto asked = netns::read_question(question);
    refusals_.note({.box = box,
                    .rule = RefusedBy::kName,
                    .protocol = "dns",
                    .name = asked ? asked->name : "(what is no name of a host)"});
}

void NameWatcher::answered(netns::Ipv4 box, std::string_view question, std::string_view packet) {
    const auto asked = netns::read_question(question);
    if (!asked || !asked->address) return;
    const auto answer = netns::parse_answer(packet, asked->name);
    if (!answer) return;
    for (const netns::DnsAddress& entry : answer->addresses) names_.learn(box, entry.address, asked->name);
}

}  // namespace hutch::daemon
