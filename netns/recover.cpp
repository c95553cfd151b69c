#include "netns/recover.h"

#include <netlink/cache.h>
#include <netlink/route/link.h>

#include <algorithm>

#include "netns/netlink.h"
#include "netns/veth.h"

namespace hutch::netns {
namespace {

// A link that the kernel has deleted meanwhile need not be deleted.
Result<void> apply_unless_gone(Netlink& netlink, Request request) {
    std::vector<Request> one;
    one.push_back(std::move(request));
    auto outcome = netlink.apply(one);
    if (!outcome.ok() && outcome.error().code == ENODEV) return {};
    return outcome;
}

}  // namespace

Result<std::vector<std::string>> recover(const Config& config, const std::vector<Ipv4>& known) {
    Netlink netlink = TRY(Netlink::open());
    nl_cache* links = nullptr;
    if (const int failure = rtnl_link_alloc_cache(netlink.get(), AF_UNSPEC, &links); failure < 0) {
        return Error{ErrorKind::kSystem, 0, std::string("listing links: ") + nl_geterror(failure)};
    }
    const Handle<nl_cache, nl_cache_free> owned(links);

    std::vector<std::string> names;
    std::vector<Request> requests;
    for (nl_object* at = nl_cache_get_first(links); at != nullptr; at = nl_cache_get_next(at)) {
        auto* link = reinterpret_cast<rtnl_link*>(at);
        const std::string name = rtnl_link_get_name(link);
        const auto address = config.address_of_link(name);
        if (!address || std::find(known.begin(), known.end(), *address) != known.end()) continue;
        names.push_back(name);
        requests.push_back(TRY(doom_link(rtnl_link_get_ifindex(link))));
    }
    if (names.empty()) return names;
    for (Request& doom : requests) TRY(apply_unless_gone(netlink, std::move(doom)));
    Request deletion = TRY(delete_doomed_links());
    TRY(apply_unless_gone(netlink, std::move(deletion)));
    return names;
}

}  // namespace hutch::netns
