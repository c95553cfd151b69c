#include "netns/firewall.h"

#include <utility>

#include "netns/namespace.h"
#include "netns/nft.h"

namespace hutch::netns {
namespace {

// Placeholders: $table, $links (the wildcard of our links' names), $range, $gateway, $ports, $blocked,
// $flows, $relay, $tell.
//
// - prerouting runs before conntrack, so spoofed packets make no entries in it. A source that is the host's own
//   address has no link of its own in the fib either ("missing").
// - `policed`: boxes with a policy of their own (policy.h); `allowed` and `denied`: box and network. Looked up per
// packet
//   and in both directions, before conntrack is asked: else a flow that was there would live on, and what has no
//   acknowledgements would still come in. Errors about a flow of the box come in whoever sent them: else it would never
//   learn of a router's smaller MTU.
// - `named`: boxes with a policy by name. All their TCP is relayed, but that to networks that are allowed whatever the
//   name.
// - `flows`: a box has so many entries in the kernel's table of connections, which is one for the host. DNS over UDP,
// where each
//   query may come from another port, makes none: nothing here asks for their state.
// - `relayed`: box and TCP port. What goes there is turned to the gateway, so that the chains of forwarded packets do
// not
//   see it: what they ask is asked before (`relay`, behind conntrack and ahead of NAT: there each packet of the box's
//   still has the destination that the box gave it) and, of what comes back, after (`relay_back`, behind NAT). A
//   connection that was there before its port was relayed ends.
// - A named counter beside each drop says which rule it was. What a box began and is dropped is told of
//   (refused_packets.h), each flow once in some seconds and so many of each box in a second: `told` and `tellers`.
constexpr std::string_view kTemplate = R"(table inet $table
delete table inet $table
table inet $table {
    counter ipv6 {}
    counter spoofed {}
    counter box_to_box {}
    counter blocked {}
    counter refused {}
    counter uninvited {}
    counter to_host {}
    counter outsider {}
    counter flows {}
    counter around_relay {}

    set blocked {
        type ipv4_addr
        flags interval
        auto-merge
        elements = { $blocked }
    }
    set policed {
        type ipv4_addr
    }
    set allowed {
        type ipv4_addr . ipv4_addr
        flags interval
    }
    set denied {
        type ipv4_addr . ipv4_addr
        flags interval
    }
    set relayed {
        type ipv4_addr . inet_service
    }
    set named {
        type ipv4_addr
    }
    set flows {
        type ipv4_addr
        size 65536
        flags dynamic
    }
    set told {
        type ipv4_addr . ipv4_addr . inet_proto . inet_service
        size 65536
        flags dynamic, timeout
        timeout 10s
    }
    set tellers {
        type ipv4_addr
        size 65536
        flags dynamic, timeout
        timeout 1m
    }

    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        iifname "$links" meta nfproto ipv6 counter name ipv6 drop
        iifname "$links" fib saddr . iif oif missing counter name spoofed drop
        iifname "$links" ip daddr $gateway udp dport 53 notrack
    }
    chain output {
        type filter hook output priority raw; policy accept;
        oifname "$links" ip saddr $gateway udp sport 53 notrack
    }

    chain relay {
        type filter hook prerouting priority mangle; policy accept;
        iifname "$links" ct direction original ct status dnat goto to_relay
        iifname "$links" ip daddr != $gateway ip saddr . tcp dport @relayed goto to_relay
        iifname "$links" ip daddr != $gateway meta l4proto tcp ip saddr @named goto to_relay
    }
    chain to_relay {
        fib daddr type != unicast jump to_host
        ip daddr @blocked jump blocked
        ip saddr @named goto to_relay_by_name
        ip saddr @policed jump from_policed
    }
    chain to_relay_by_name {
        ip saddr . ip daddr @denied jump refused
    }
    chain relay_nat {
        type nat hook prerouting priority dstnat; policy accept;
        iifname "$links" ip daddr != $gateway ip saddr . tcp dport @relayed dnat ip to $gateway:$relay
        iifname "$links" ip daddr != $gateway meta l4proto tcp ip saddr @named ip saddr . ip daddr != @allowed dnat ip to $gateway:$relay
    }
    chain relay_back {
        type filter hook postrouting priority srcnat + 10; policy accept;
        oifname "$links" ip daddr @named ct status dnat goto relay_back_by_name
        oifname "$links" ip daddr @policed ct status dnat jump to_policed
    }
    chain relay_back_by_name {
        ip daddr . ip saddr @denied counter name refused drop
    }

    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "$links" goto from_box
        oifname "$links" goto to_box
    }
    chain from_box {
        oifname "$links" jump box_to_box
        ip daddr @blocked jump blocked
        ip saddr @policed jump from_policed
        ip saddr . tcp dport @relayed counter name around_relay reject with tcp reset
        ip saddr . udp dport @relayed counter name around_relay reject with icmp type port-unreachable
        ct state new add @flows { ip saddr ct count over $flows } jump flows
    }
    chain from_policed {
        ip saddr . ip daddr @denied jump refused
        ip saddr . ip daddr @allowed return
        jump refused
    }
    chain to_box {
        ip daddr @policed jump to_policed
        ct state established,related accept
        counter name uninvited drop
    }

    chain to_policed {
        icmp type { destination-unreachable, time-exceeded } return
        ip daddr . ip saddr @denied counter name refused drop
        ip daddr . ip saddr @allowed return
        counter name refused drop
    }

    chain input {
        type filter hook input priority filter; policy accept;
        iifname "$links" goto box_to_host
        iifname != "lo" ip daddr $gateway counter name outsider drop
    }
    chain box_to_host {
        ct state established,related accept
        ip daddr $gateway udp dport 53 accept
        ip daddr $gateway tcp dport { $ports } goto to_service
        ip daddr $gateway tcp dport $relay ct status dnat goto to_service
        jump to_host
    }
    chain to_service {
        ct state new add @flows { ip saddr ct count over $flows } jump flows
        accept
    }

    chain box_to_box {
        $tell counter name box_to_box drop
        counter name box_to_box drop
    }
    chain blocked {
        $tell counter name blocked drop
        counter name blocked drop
    }
    chain refused {
        $tell counter name refused drop
        counter name refused drop
    }
    chain to_host {
        $tell counter name to_host drop
        counter name to_host drop
    }
    chain flows {
        $tell counter name flows drop
        counter name flows drop
    }

    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr $range oifname != "$links" masquerade
    }
}
)";

constexpr std::string_view kTell =
    "meta l4proto { tcp, udp } ip saddr . ip daddr . meta l4proto . th dport != @told "
    "update @tellers { ip saddr limit rate 5/second burst 20 packets } "
    "add @told { ip saddr . ip daddr . meta l4proto . th dport } meta nftrace set 1";

void replace_all(std::string& text, std::string_view placeholder, const std::string& value) {
    for (size_t at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at + value.size())) {
        text.replace(at, placeholder.size(), value);
    }
}

}  // namespace

std::vector<Prefix> blocked_networks(const Config& config) {
    std::vector<Prefix> networks{config.range};
    for (const char* text : {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
                             "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4"}) {
        networks.push_back(parse_prefix(text).value());
    }
    return networks;
}

std::string list_of(const std::vector<Prefix>& networks) {
    std::string list;
    for (const Prefix& network : networks) list += (list.empty() ? "" : ", ") + to_string(network);
    return list;
}

std::string ruleset(const Config& config) {
    std::string text(kTemplate);
    replace_all(text, "$blocked", list_of(blocked_networks(config)));
    replace_all(text, "$tell", std::string(kTell));
    replace_all(text, "$table", config.table);
    replace_all(text, "$links", config.link_prefix + "-*");
    replace_all(text, "$flows", std::to_string(kFlowsPerBox));
    replace_all(text, "$range", to_string(config.range));
    replace_all(text, "$gateway", to_string(config.gateway()));
    replace_all(text, "$relay", std::to_string(config.relay));
    replace_all(text, "$ports", config.service == 0 ? "53" : "53, " + std::to_string(config.service));
    return text;
}

Result<FirewallState> look_at_firewall(const Config& config) {
    const auto there = TRY_IN("looking at the firewall", list_rules(config.table));
    if (!there) return FirewallState::kAbsent;
    const auto wanted = on_own_thread([&]() -> Result<std::optional<std::string>> {
        const UniqueFd elsewhere = TRY(enter_new());
        TRY(load_firewall(config));
        return list_rules(config.table);
    });
    return *there == TRY(wanted).value_or("") ? FirewallState::kWhole : FirewallState::kChanged;
}

Result<void> load_firewall(const Config& config) {
    TRY(check(config));  // its names go into the text
    TRY_IN("loading the firewall", run_nft(ruleset(config)));
    return {};
}

Result<void> remove_firewall(const Config& config) {
    TRY(check(config));
    TRY_IN("removing the firewall",
           run_nft("table inet " + config.table + "\ndelete table inet " + config.table + "\n"));
    return {};
}

}  // namespace hutch::netns
