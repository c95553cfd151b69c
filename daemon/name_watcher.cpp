#include "daemon/name_watcher.h"

#include "netns/dns_answer.h"
#include "netns/domain.h"

namespace hutch::daemon {
namespace {

RefusedBy rule_of(netns::Egress rule) {
    switch (rule) {
        case netns::Egress::kClosed:
            return RefusedBy::kBlocked;
        case netns::Egress::kNoName:
        case netns::Egress::kOtherName:
            return RefusedBy::kServerName;
        case netns::Egress::kDenied:
        case netns::Egress::kNotAllowed:
        case netns::Egress::kPasses:
            break;
    }
    return RefusedBy::kPolicy;
}

}  // namespace

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

void NameWatcher::closed(netns::Ipv4 box, const std::string& name, netns::Egress rule) {
    refusals_.note({.box = box, .rule = rule_of(rule), .protocol = "dns", .name = name});
}

void NameWatcher::refused(netns::Ipv4 box, netns::Ipv4 address, uint16_t port, const std::string& told,
                          netns::Egress rule) {
    const auto name = netns::host_name(told);
    refusals_.note({.box = box,
                    .rule = rule_of(rule),
                    .protocol = "tcp",
                    .destination = address,
                    .port = port,
                    .name = name ? *name : names_.name_of(box, address)});
}

}  // namespace hutch::daemon
