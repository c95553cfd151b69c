#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>

#include <map>
#include <sstream>

#include "netns/host.h"
#include "netns/netlink.h"
#include "netns/nft.h"

namespace hutch::netns {
namespace {

bool overlap(const Prefix& a, const Prefix& b) {
    return a.contains(b.base) || b.contains(a.base);
}

Result<std::vector<Intruder>> find_tables(const Config& config) {
    std::istringstream words(TRY_IN("listing tables", run_nft("list tables inet")));
    std::vector<Intruder> found;
    std::string table;
    for (std::string word; words >> word >> word >> table;) {  // "table inet NAME"
        if (table == config.table) continue;
        const auto chain = run_nft("list chain inet " + table + " postrouting");
        const auto owner = chain.ok() ? owner_of_chain(chain.value()) : std::nullopt;
        if (!owner || !overlap(owner->first, config.range)) continue;
        found.push_back({owner->second, "the firewall table inet " + table + ", of " + to_string(owner->first),
                         "nft delete table inet " + table});
    }
    return found;
}

// The name of a link's daemon, if it is a box's link of another one: "etest" of "etest-7".
std::optional<std::string> owner_of_link(const std::string& link, const Config& config) {
    const size_t dash = link.find('-');
    if (dash == std::string::npos || dash + 1 == link.size()) return std::nullopt;
    if (link.find_first_not_of("0123456789", dash + 1) != std::string::npos) return std::nullopt;
    const std::string name = link.substr(0, dash);
    return name == config.link_prefix ? std::nullopt : std::optional(name);
}

Result<std::vector<Intruder>> find_links(const Config& config) {
    const Netlink netlink = TRY(Netlink::open());
    nl_cache* cache = nullptr;
    if (const int failure = rtnl_addr_alloc_cache(netlink.get(), &cache); failure < 0) {
        return Error{ErrorKind::kSystem, 0, std::string("listing addresses: ") + nl_geterror(failure)};
    }
    const Handle<nl_cache, nl_cache_free> owned(cache);
    std::map<std::string, size_t> links;  // of each daemon
    for (nl_object* at = nl_cache_get_first(cache); at != nullptr; at = nl_cache_get_next(at)) {
        auto* entry = reinterpret_cast<rtnl_addr*>(at);
        nl_addr* local = rtnl_addr_get_local(entry);
        char name[IF_NAMESIZE] = {};
        if (local == nullptr || nl_addr_get_family(local) != AF_INET) continue;
        const auto* raw = static_cast<const in_addr*>(nl_addr_get_binary_addr(local));
        if (!config.range.contains({ntohl(raw->s_addr)})) continue;
        if (if_indextoname(static_cast<unsigned>(rtnl_addr_get_ifindex(entry)), name) == nullptr) continue;
        if (const auto owner = owner_of_link(name, config)) ++links[*owner];
    }
    std::vector<Intruder> found;
    for (const auto& [name, count] : links) {
        found.push_back(
            {name, std::to_string(count) + " links " + name + "-*, with addresses of its range",
             "for link in $(ls /sys/class/net | grep '^" + name + "-[0-9]*$'); do ip link delete $link; done"});
    }
    return found;
}

}  // namespace

// ip saddr 198.18.0.0/16 oifname != "hutch-*" masquerade
std::optional<std::pair<Prefix, std::string>> owner_of_chain(std::string_view listing) {
    std::istringstream lines{std::string(listing)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word[7];
        for (std::string& each : word) words >> each;
        const std::string& links = word[5];
        if (word[0] != "ip" || word[1] != "saddr" || word[3] != "oifname" || word[6] != "masquerade") continue;
        const auto range = parse_prefix(word[2]);
        if (!range.ok() || links.size() < 5 || !links.ends_with("-*\"")) continue;
        return std::pair(range.value(), links.substr(1, links.size() - 4));
    }
    return std::nullopt;
}

Result<std::vector<Intruder>> find_intruders(const Config& config) {
    std::vector<Intruder> found = TRY(find_tables(config));
    for (Intruder& links : TRY(find_links(config))) found.push_back(std::move(links));
    return found;
}

}  // namespace hutch::netns
