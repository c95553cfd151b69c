#include "netns/box_firewall.h"

#include <linux/netfilter.h>
#include <netinet/ip_icmp.h>

#include "netns/dns_message.h"
#include "netns/firewall.h"
#include "netns/namespace.h"
#include "netns/nft_batch.h"
#include "netns/nft_socket.h"
#include "netns/routes.h"

namespace hutch::netns {
namespace {

// About a flow of the box, they come in whoever sent them, as in firewall.cpp.
constexpr uint8_t kErrors[] = {ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED};

// So that a later daemon can tell what a table was made of: a counter that nothing counts, named after it.
struct Table {
    NftBatch batch;
    std::string mark;
};

Table marked(NftBatch batch) {
    std::string mark = "made_of_" + std::to_string(batch.hash());
    batch.add_counter(mark);
    return {std::move(batch), std::move(mark)};
}

constexpr const char* kTold = "told";  // of both tables, the flows that were

// What comes to these rules, at the end of a chain, is dropped, counted, and told of.
void add_refusal(NftBatch& table, const std::string& chain, const std::string& counter) {
    for (const FlowKind kind : {FlowKind::kPort, FlowKind::kIcmp}) {
        table.add_rule(chain, NftRule().tell_once(kTold, kind).count(counter).drop());
    }
    table.add_rule(chain, NftRule().count(counter).drop());
}

void add_output(NftBatch& table, const Config& config) {
    constexpr uint32_t kBurst = 5000;
    table.add_rule("output", NftRule().into("lo").accept());
    table.add_rule("output", NftRule().more_than(config.packets_per_second, kBurst).go_to("too_many"));
    table.add_rule("output", NftRule().to(config.gateway()).go_to("to_host"));
    table.add_rule("output", NftRule().to_any_of("blocked").go_to("blocked"));
    table.add_rule("output", NftRule().ipv4().accept());

    constexpr uint32_t kQueries = 1000;
    table.add_rule("to_host", NftRule().udp(kDnsPort).more_than(kQueries, kQueries).go_to("too_many"));
    table.add_rule("to_host", NftRule().udp(kDnsPort).accept());
    table.add_rule("to_host", NftRule().tcp(kDnsPort).accept());
    if (config.service != 0) table.add_rule("to_host", NftRule().tcp(config.service).accept());
    table.add_rule("to_host", NftRule().tcp_going_on().accept());
    table.add_rule("to_host", NftRule().icmp(ICMP_ECHOREPLY).accept());
    table.add_rule("to_host", NftRule().icmp(ICMP_DEST_UNREACH).accept());
    for (const char* chain : {"to_host", "blocked", "too_many"}) add_refusal(table, chain, chain);
}

void add_input(NftBatch& table, const Config& config) {
    table.add_rule("input", NftRule().out_of("lo").accept());
    table.add_rule("input", NftRule().from(config.gateway()).accept());
    for (const uint8_t error : kErrors) table.add_rule("input", NftRule().icmp(error).accept());
    table.add_rule("input", NftRule().tcp_beginning().count("uninvited").drop());
    table.add_rule("input", NftRule().from_any_of("blocked").count("blocked").drop());
    table.add_rule("input", NftRule().ipv4().accept());
}

Table table_for_all(const Config& config, std::optional<Ipv4> host) {
    std::vector<Prefix> blocked = blocked_networks(config);
    if (host) blocked.push_back({*host, 32});
    NftBatch table(config.table);
    table.create_table();
    for (const char* name : {"blocked", "uninvited", "to_host", "too_many"}) table.add_counter(name);
    table.add_networks("blocked", blocked);
    table.add_flows(kTold);
    table.add_chain_at("output", NF_INET_LOCAL_OUT, NF_DROP);
    for (const char* chain : {"to_host", "blocked", "too_many"}) table.add_chain(chain);
    table.add_chain_at("input", NF_INET_LOCAL_IN, NF_DROP);
    add_output(table, config);
    add_input(table, config);
    return marked(std::move(table));
}

std::string policy_table(const Config& config) {
    return policy_table_of(config.table);
}

Table table_of(const Config& config, const Policy& policy) {
    NftBatch table(policy_table(config));
    table.create_table();
    table.add_counter("refused");
    table.add_networks("denied", policy.denied);
    table.add_networks("allowed", policy.allowed);
    table.add_flows(kTold);
    table.add_chain("refused");
    add_refusal(table, "refused", "refused");
    table.add_chain_at("output", NF_INET_LOCAL_OUT, NF_ACCEPT);
    table.add_rule("output", NftRule().into("lo").accept());
    table.add_rule("output", NftRule().to(config.gateway()).accept());
    table.add_rule("output", NftRule().to_any_of("denied").go_to("refused"));
    if (policy.by_name()) {
        table.add_rule("output", NftRule().to_any_of("allowed").accept());
        table.add_rule("output", NftRule().tcp().end_at_next_host().accept());
    }
    if (!policy.open) table.add_rule("output", NftRule().to_none_of("allowed").go_to("refused"));
    table.add_chain_at("input", NF_INET_LOCAL_IN, NF_ACCEPT);
    table.add_rule("input", NftRule().out_of("lo").accept());
    table.add_rule("input", NftRule().from(config.gateway()).accept());
    for (const uint8_t error : kErrors) table.add_rule("input", NftRule().icmp(error).accept());
    table.add_rule("input", NftRule().from_any_of("denied").count("refused").drop());
    if (policy.by_name()) table.add_rule("input", NftRule().tcp().accept());
    if (!policy.open) table.add_rule("input", NftRule().from_none_of("allowed").count("refused").drop());
    return marked(std::move(table));
}

NftBatch replacement(const std::string& table, NftBatch with) {
    NftBatch batch(table);
    batch.remove_table();
    batch.append(std::move(with));
    return batch;
}

Result<void> replace_policy(nl_sock* socket, const Config& config, const Policy& policy) {
    NftBatch with = policy.admits_all() ? NftBatch(policy_table(config)) : table_of(config, policy).batch;
    TRY_IN("setting a policy inside its box",
           nft_commit(socket, replacement(policy_table(config), std::move(with)).messages()));
    return {};
}

Result<void> set_on_this_thread(const Config& config, const Policy& policy) {
    const NftSocket socket = TRY(nft_socket());
    // Without anything to remove, the kernel has nothing to wait for.
    if (!policy.admits_all() && nft_commit(socket.get(), table_of(config, policy).batch.messages()).ok()) return {};
    return replace_policy(socket.get(), config, policy);
}

Result<void> mend_on_this_thread(const Config& config, std::optional<Ipv4> host, const Policy& policy) {
    const NftSocket socket = TRY(nft_socket());
    Table for_all = table_for_all(config, host);
    if (!TRY(nft_has_counter(socket.get(), config.table, for_all.mark))) {
        const NftBatch batch = replacement(config.table, std::move(for_all.batch));
        TRY_IN("mending a box's own firewall", nft_commit(socket.get(), batch.messages()));
    }
    const std::string table = policy_table(config);
    const bool right = policy.admits_all() ? !TRY(nft_has_table(socket.get(), table))
                                           : TRY(nft_has_counter(socket.get(), table, table_of(config, policy).mark));
    return right ? Result<void>() : replace_policy(socket.get(), config, policy);
}

}  // namespace

std::string policy_table_of(const std::string& table) {
    return table + "_policy";
}

Result<void> load_box_firewall(const Config& config, std::optional<Ipv4> host) {
    const NftSocket socket = TRY(nft_socket());
    TRY_IN("loading a box's own firewall", nft_commit(socket.get(), table_for_all(config, host).batch.messages()));
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
