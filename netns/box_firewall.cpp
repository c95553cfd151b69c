#include "netns/box_firewall.h"

#include <functional>

#include "netns/firewall.h"
#include "netns/namespace.h"
#include "netns/nft.h"
#include "netns/routes.h"

namespace hutch::netns {
namespace {

// Placeholders as in firewall.cpp. $mark is a counter that nothing counts: its name tells what its table was made of.
// Errors about a flow come in whoever sent them, as in firewall.cpp.
constexpr std::string_view kForAll = R"(table inet $table {
    counter $mark {}
    counter blocked {}
    counter uninvited {}
    counter to_host {}
    counter too_many {}

    set blocked {
        type ipv4_addr
        flags interval
        auto-merge
        elements = { $blocked$host }
    }

    chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        limit rate over $packets/second burst 5000 packets counter name too_many drop
        ip daddr $gateway goto to_host
        ip daddr @blocked counter name blocked drop
        meta nfproto ipv4 accept
    }
    chain to_host {
        udp dport 53 limit rate over 1000/second burst 1000 packets counter name too_many drop
        udp dport 53 accept
        tcp dport { $ports } accept
        tcp flags & (syn | ack) != syn accept
        icmp type { echo-reply, destination-unreachable } accept
        counter name to_host drop
    }

    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ip saddr $gateway accept
        icmp type { destination-unreachable, time-exceeded } accept
        tcp flags & (syn | ack) == syn counter name uninvited drop
        ip saddr @blocked counter name blocked drop
        meta nfproto ipv4 accept
    }
}
)";

// $refuse_to and $refuse_from are the rules of the policy.
constexpr std::string_view kOfPolicy = R"(table inet $table_policy {
    counter $mark {}
    counter refused {}

    chain output {
        type filter hook output priority filter; policy accept;
        oifname "lo" accept
        ip daddr $gateway accept
$refuse_to    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "lo" accept
        ip saddr $gateway accept
        icmp type { destination-unreachable, time-exceeded } accept
$refuse_from    }
}
)";

std::string list_of(const std::vector<Prefix>& networks) {
    std::string list;
    for (const Prefix& network : outermost(networks)) list += (list.empty() ? "" : ", ") + to_string(network);
    return list;
}

// `side`: "daddr" or "saddr".
std::string refusals(const std::string& side, const Policy& policy) {
    const std::string drop = " counter name refused drop\n";
    std::string rules;
    if (!policy.denied.empty()) rules += "ip " + side + " { " + list_of(policy.denied) + " }" + drop;
    if (policy.open) return rules;
    if (policy.allowed.empty()) return rules + drop;
    return rules + "ip " + side + " != { " + list_of(policy.allowed) + " }" + drop;
}

struct Table {
    std::string text;
    std::string mark;
};

Table marked(std::string text) {
    std::string mark = "made_of_" + std::to_string(std::hash<std::string>()(text));
    replace_all(text, "$mark", mark);
    return {std::move(text), std::move(mark)};
}

Table table_for_all(const Config& config, std::optional<Ipv4> host) {
    std::string text = fill_in(kForAll, config);
    replace_all(text, "$host", host ? ", " + to_string(*host) : "");
    return marked(std::move(text));
}

Table table_of(const Config& config, const Policy& policy) {
    std::string text = fill_in(kOfPolicy, config);
    replace_all(text, "$refuse_to", refusals("daddr", policy));
    replace_all(text, "$refuse_from", refusals("saddr", policy));
    return marked(std::move(text));
}

std::string removal(const std::string& table) {
    return "table inet " + table + "\ndelete table inet " + table + "\n";
}

std::string policy_table(const Config& config) {
    return config.table + "_policy";
}

Result<void> replace_policy(const Config& config, const Policy& policy) {
    const std::string old = removal(policy_table(config));
    TRY_IN("setting a policy inside its box", run_nft(policy.is_default() ? old : old + table_of(config, policy).text));
    return {};
}

Result<void> set_on_this_thread(const Config& config, const Policy& policy) {
    TRY(check(config));  // its names go into the text
    // Without anything to remove, the kernel has nothing to wait for.
    const std::string create = "create table inet " + policy_table(config) + "\n";
    if (!policy.is_default() && run_nft(create + table_of(config, policy).text).ok()) return {};
    return replace_policy(config, policy);
}

Result<void> mend_on_this_thread(const Config& config, std::optional<Ipv4> host, const Policy& policy) {
    TRY(check(config));
    const std::string there = TRY_IN("listing the tables of a box", run_nft("list counters"));
    const auto holds = [&there](const std::string& text) { return there.find(text) != std::string::npos; };
    const Table for_all = table_for_all(config, host);
    if (!holds(for_all.mark)) TRY(run_nft(removal(config.table) + for_all.text));
    const bool right = policy.is_default() ? !holds(policy_table(config)) : holds(table_of(config, policy).mark);
    return right ? Result<void>() : replace_policy(config, policy);
}

}  // namespace

Result<void> load_box_firewall(const Config& config, std::optional<Ipv4> host) {
    TRY(check(config));
    TRY_IN("loading a box's own firewall", run_nft(table_for_all(config, host).text));
    return {};
}

Result<void> set_box_policy(int netns, const Config& config, const Policy& policy) {
    return run_inside(netns, [&] { return set_on_this_thread(config, policy); });
}

Result<void> mend_box_firewall(int netns, const Config& config, const Policy& policy) {
    const Netlink netlink = TRY(Netlink::open());
    const auto way = TRY(way_out(netlink));
    const auto host = way ? way->address : std::nullopt;
    return run_inside(netns, [&] { return mend_on_this_thread(config, host, policy); });
}

}  // namespace hutch::netns
