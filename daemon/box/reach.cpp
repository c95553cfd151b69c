#include "daemon/box/reach.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include <algorithm>

#include "base/text.h"
#include "daemon/box/network.h"
#include "daemon/clock.h"
#include "daemon/fd_watch.h"
#include "daemon/spawn.h"
#include "netns/dns_lookup.h"
#include "netns/dns_message.h"
#include "netns/dns_socket.h"
#include "netns/domain.h"
#include "netns/firewall.h"
#include "netns/host.h"
#include "netns/namespace.h"
#include "netns/own_address.h"

namespace hutch::daemon {
namespace {

using netns::Ipv4;
using netns::Prefix;

// For the other side: the first packet is sent thrice in it, and a router has asked in vain for who is not there.
constexpr std::chrono::seconds kReachPatience{4};
constexpr uint32_t kLoopbackNetwork = 127;
constexpr size_t kLongestHost = 253;

struct Known {
    const char* network;
    const char* what;
};
constexpr Known kKnown[] = {
    {"10.0.0.0/8", "a private network"},
    {"172.16.0.0/12", "a private network"},
    {"192.168.0.0/16", "a private network"},
    {"100.64.0.0/10", "a network that providers share among their customers"},
    {"169.254.0.0/16", "the network of a link, where clouds have their metadata"},
    {"224.0.0.0/4", "the multicast addresses"},
};

bool is_ipv6(const std::string& host) {
    in6_addr address{};
    return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_loopback(Ipv4 address) {
    return address.value >> 24U == kLoopbackNetwork || address == Ipv4{};
}

std::string what_is(const netns::Config& network, const Prefix& closed) {
    if (closed == network.range) return "the network of the boxes themselves";
    for (const Known& known : kKnown) {
        if (netns::to_string(closed) == known.network) return known.what;
    }
    return "a reserved network";
}

const Prefix* holder_of(const std::vector<Prefix>& networks, Ipv4 address) {
    const auto found = std::find_if(networks.begin(), networks.end(),
                                    [address](const Prefix& network) { return network.contains(address); });
    return found == networks.end() ? nullptr : &*found;
}

std::string listed(const std::vector<Ipv4>& addresses) {
    std::string text;
    for (const Ipv4 address : addresses) text += (text.empty() ? "" : ", ") + netns::to_string(address);
    return text;
}

// What a policy that is not open lets through, for a sentence.
std::string allowed_by(const netns::Policy& policy) {
    if (policy.allowed.empty() && policy.domains.empty()) return "nobody at all (deny-all)";
    constexpr size_t kMostNamed = 8;
    std::vector<std::string> all = policy.domains;
    for (const Prefix& network : policy.allowed) all.push_back(netns::to_string(network));
    std::string text;
    for (size_t i = 0; i < std::min(all.size(), kMostNamed); ++i) text += (i == 0 ? "" : ", ") + all[i];
    return text + (all.size() > kMostNamed ? " and others" : "") + " alone";
}

// Whose TCP comes to the host's relay, which connects for it.
bool is_relayed(const netns::Policy& policy, Ipv4 to, uint16_t port) {
    return policy.relays(port) || (policy.by_name() && holder_of(policy.allowed, to) == nullptr);
}

// Connects inside the namespace of `init`; an error, EINPROGRESS among them, or 0, comes with the socket.
struct Dialed {
    UniqueFd socket;
    int failure = 0;
};
Result<Dialed> dial_here(Ipv4 address, uint16_t port) {
    Dialed dialed{UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
    if (!dialed.socket) return errno_error("making a socket to a box's host");
    const sockaddr_in to = netns::socket_address(address, port);
    if (connect(dialed.socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) dialed.failure = errno;
    return dialed;
}
Result<Dialed> dial_inside(int init, Ipv4 address, uint16_t port) {
    return netns::run_inside(init, [address, port] { return dial_here(address, port); });
}

// 0, or why not; ETIMEDOUT while nobody has answered.
Task<int> end_of_dial(const asio::any_io_executor& executor, const Dialed& dialed) {
    if (dialed.failure != EINPROGRESS) co_return dialed.failure;
    FdWatch watch(executor, dialed.socket.get());
    asio::steady_timer timer(executor, kReachPatience);
    const auto answered = [&watch]() -> Task<> { (void)co_await watch.writable(); };
    const auto patience = [&timer]() -> Task<> { (void)co_await timer.async_wait(kAwait); };
    const bool done = co_await ends_before(answered(), patience());
    int failure = ETIMEDOUT;
    socklen_t size = sizeof(failure);
    if (done && getsockopt(dialed.socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
    co_return failure;
}

}  // namespace

const char* name_of(Reach::Verdict verdict) {
    switch (verdict) {
        case Reach::Verdict::kAnswers:
            return "answers";
        case Reach::Verdict::kClosed:
            return "closed";
        case Reach::Verdict::kSilent:
            return "silent";
        case Reach::Verdict::kRefused:
            return "refused";
        case Reach::Verdict::kNoName:
            return "no_name";
        case Reach::Verdict::kNoRoute:
            return "no_route";
        case Reach::Verdict::kUntried:
            break;
    }
    return "untried";
}

std::optional<Obstacle> obstacle_to(const netns::Config& network, Ipv4 box, const netns::Policy& policy,
                                    Ipv4 destination, uint16_t port) {
    const std::string there = netns::to_string(destination);
    if (is_loopback(destination) || destination == box) return std::nullopt;
    if (destination == network.gateway()) {
        if (port == netns::kDnsPort || port == network.service) return std::nullopt;
        return Obstacle{RefusedBy::kToHost, there +
                                                " is this host, of which boxes reach nothing but their name server "
                                                "(53) and the models' gateway (" +
                                                std::to_string(network.service) + ")."};
    }
    const auto closed = netns::blocked_networks(network);
    if (const Prefix* found = holder_of(closed, destination)) {
        return Obstacle{RefusedBy::kBlocked, there + " lies in " + netns::to_string(*found) + ", " +
                                                 what_is(network, *found) +
                                                 ", which is closed to all boxes, whatever their policy says."};
    }
    if (const Prefix* found = holder_of(policy.denied, destination)) {
        return Obstacle{RefusedBy::kPolicy,
                        there + " lies in " + netns::to_string(*found) + ", which the box's network policy denies."};
    }
    if (policy.open || holder_of(policy.allowed, destination) != nullptr) return std::nullopt;
    return Obstacle{RefusedBy::kPolicy,
                    there + " is not what the box's network policy allows: it may talk to " + allowed_by(policy) + "."};
}

struct Reacher::Asked {
    std::shared_ptr<Box> box;
    std::string host;
    uint16_t port;
    int64_t began_ms = unix_now_ms();
    std::string name{};      ///< empty where `host` is an address
    netns::Policy policy{};  ///< of the box
    bool is_listed = false;  ///< the name, by the policy
    Reach reach{};
    bool done = false;  ///< the verdict is known

    void say(const std::string& sentence) { reach.explanation += (reach.explanation.empty() ? "" : " ") + sentence; }
    void end(Reach::Verdict verdict, const std::string& sentence) {
        reach.verdict = verdict;
        say(sentence);
        done = true;
    }
    void refuse(const std::string& rule, const std::string& sentence) {
        reach.rule = rule;
        end(Reach::Verdict::kRefused, sentence);
    }
    [[nodiscard]] std::string there() const { return netns::to_string(reach.addresses.front()); }
    [[nodiscard]] netns::Ipv4 address() const { return box->alive() ? box->life().address : netns::Ipv4{}; }
};

Task<Result<Reach>> Reacher::reach(std::shared_ptr<Box> box, std::string host, uint16_t port) {
    Asked asked{std::move(box), std::move(host), port};
    asked.policy =
        asked.box->alive() ? boxes_.mechanisms().policies->of(asked.address()) : firewall_policy(asked.box->record);
    if (asked.box->sleep()) {
        asked.say("The box is paused: nothing in it talks to anybody until it is woken; what follows holds for then.");
    }
    CO_TRY(co_await find_addresses(asked));
    if (!asked.done) ask_rules(asked);
    if (!asked.done) CO_TRY(co_await ask_host(asked));
    if (!asked.done && !asked.box->alive()) {
        asked.end(Reach::Verdict::kUntried,
                  "The box has stopped, so it was not tried; no rule refuses " + asked.there() + ".");
    }
    if (!asked.done) CO_TRY(co_await try_it(asked));
    if (!asked.done) CO_TRY(co_await ask_why_silent(asked));
    co_return std::move(asked.reach);
}

Task<Result<void>> Reacher::find_addresses(Asked& asked) {
    const std::string& host = asked.host;
    if (is_ipv6(host)) {
        asked.end(Reach::Verdict::kNoRoute,
                  host +
                      " is an address of IPv6, which boxes do not have. Ask for its name, or for its "
                      "address of IPv4.");
        co_return Result<void>();
    }
    if (const auto address = netns::parse_ipv4(host); address.ok()) {
        asked.reach.addresses = {address.value()};
        co_return Result<void>();
    }
    const auto name = netns::host_name(host);
    if (!name && (host.size() > kLongestHost || has_control(host))) {
        co_return invalid("host: must be the name of a host or an address of IPv4");
    }
    if (!name) co_return invalid("host: \"" + host + "\" is neither the name of a host nor an address of IPv4");
    asked.name = *name;
    if (*name == "localhost") {
        asked.reach.addresses = {{kLoopbackNetwork << 24U | 1}};
        co_return Result<void>();
    }
    asked.is_listed = asked.policy.by_name() && netns::is_listed(asked.policy.domains, *name);
    if (!asked.policy.open && !asked.is_listed) {
        asked.refuse(name_of(RefusedBy::kName),
                     "The name " + *name + " is not looked up for this box: its network policy lets it talk to " +
                         allowed_by(asked.policy) + ".");
        co_return Result<void>();
    }
    const std::string servers = boxes_.mechanisms().network.resolv_conf;
    const auto found = std::make_shared<netns::LookedUp>();
    const auto look = [found, servers, wanted = *name]() -> Result<void> {
        *found = TRY(netns::look_up(servers, wanted));
        return {};
    };
    CO_TRY(co_await threads_.run_for(asked.box->record.customer, look));
    asked.reach.addresses = std::move(found->addresses);
    if (!asked.reach.addresses.empty()) co_return Result<void>();
    switch (found->outcome) {
        case netns::LookedUp::Outcome::kNoSuchName:
            asked.end(Reach::Verdict::kNoName,
                      "There is no such name as " + *name + ": the name servers of this host say so.");
            break;
        case netns::LookedUp::Outcome::kAnswered:
            asked.end(Reach::Verdict::kNoName,
                      "The name " + *name + " has no address of IPv4, and boxes have no IPv6.");
            break;
        case netns::LookedUp::Outcome::kFailed:
            asked.end(Reach::Verdict::kNoName, "The name " + *name +
                                                   " cannot be resolved: none of this host's name servers (" + servers +
                                                   ") has answered.");
            break;
    }
    co_return Result<void>();
}

// Those that are closed go behind those that are not: clients try all that a name has.
void Reacher::ask_rules(Asked& asked) const {
    const netns::Config& network = boxes_.mechanisms().network;
    netns::Policy policy = asked.policy;
    auto& addresses = asked.reach.addresses;
    if (policy.by_name() && asked.name.empty()) {
        auto names =
            boxes_.mechanisms().policies->learned().names_of(asked.address(), addresses.front(), netns::Clock::now());
        std::erase_if(names, [&](const std::string& name) { return !netns::is_listed(policy.domains, name); });
        asked.is_listed = !names.empty();
        if (asked.is_listed) {
            asked.say("The box has found " + asked.there() + " by the name " + names.front() +
                      ": a connection there must begin with that name, in TLS or HTTP.");
        }
    }
    policy.open = policy.open || asked.is_listed;
    const auto obstacle = [&](Ipv4 to) { return obstacle_to(network, asked.address(), policy, to, asked.port); };
    const auto open_end =
        std::stable_partition(addresses.begin(), addresses.end(), [&](Ipv4 to) { return !obstacle(to).has_value(); });
    if (!asked.name.empty()) {
        asked.say("The name " + asked.name + " resolves to " + listed(addresses) + ".");
    }
    if (open_end != addresses.begin()) {
        if (open_end != addresses.end()) asked.say(obstacle(*open_end)->sentence);
        return;
    }
    const auto first = obstacle(addresses.front());
    asked.refuse(name_of(first->rule), first->sentence);
}

Task<Result<void>> Reacher::ask_host(Asked& asked) {
    const Ipv4 there = asked.reach.addresses.front();
    const netns::Config& network = boxes_.mechanisms().network;
    if (is_loopback(there) || there == asked.address()) {
        asked.say(asked.there() + " is the box itself.");
        co_return Result<void>();
    }
    if (there == network.gateway()) co_return Result<void>();
    struct Host {
        netns::Way way;
        bool passes_on;
    };
    const auto look = [there]() -> Result<Host> {
        const sockaddr_in name = netns::socket_address(there, 0);
        return Host{TRY(netns::way_to(reinterpret_cast<const sockaddr&>(name))), TRY(netns::forwarding_enabled())};
    };
    CO_TRY_LET(const Host host, co_await threads_.run_for(asked.box->record.customer, look));
    if (host.way == netns::Way::kHere) {
        asked.refuse(name_of(RefusedBy::kToHost),
                     asked.there() +
                         " is this host itself, of which boxes reach nothing but their name server and the "
                         "models' gateway, at " +
                         netns::to_string(network.gateway()) + ".");
    } else if (!host.passes_on) {
        asked.end(Reach::Verdict::kNoRoute, "This host passes no packets on: net.ipv4.ip_forward is 0.");
    } else if (host.way == netns::Way::kNone) {
        asked.end(Reach::Verdict::kNoRoute, "This host has no route to " + asked.there() + ".");
    }
    co_return Result<void>();
}

Task<Result<void>> Reacher::try_it(Asked& asked) {
    const UniqueFd init(fcntl(asked.box->life().pidfd.get(), F_DUPFD_CLOEXEC, 0));  // the life may end meanwhile
    if (!init) co_return errno_error("keeping a handle of a box's init");
    const Ipv4 to = asked.reach.addresses.front();
    const bool relayed = is_relayed(asked.policy, to, asked.port) && !is_loopback(to) && to != asked.address() &&
                         to != boxes_.mechanisms().network.gateway();
    const auto start = [&init, relayed, to, port = asked.port] {
        return relayed ? dial_here(to, port) : dial_inside(init.get(), to, port);
    };
    const auto dialed = co_await threads_.run_for(asked.box->record.customer, start);
    if (!dialed.ok() && dialed.error().code == ESRCH) {
        asked.end(Reach::Verdict::kUntried, "The box has just stopped, before it could be tried.");
        co_return Result<void>();
    }
    if (!dialed.ok()) co_return dialed.error();
    const int failure = co_await end_of_dial(boxes_.executor(), dialed.value());
    const std::string there = asked.there() + ":" + std::to_string(asked.port);
    if (failure == 0) {
        asked.end(Reach::Verdict::kAnswers,
                  "Nothing refuses it: " + there + " has just taken a connection from " +
                      (relayed ? "this host, which connects for the box." : "the box's network."));
    } else if (failure == ECONNREFUSED) {
        asked.end(Reach::Verdict::kClosed,
                  "Nothing refuses it here: " + there + " answers that it takes no connections on that port.");
    } else if (failure == EHOSTUNREACH || failure == ENETUNREACH) {
        asked.end(Reach::Verdict::kNoRoute,
                  "Nothing refuses it here, but a router on the way (or this host) answers that " + asked.there() +
                      " cannot be reached.");
    }
    co_return Result<void>();
}

Task<Result<void>> Reacher::ask_why_silent(Asked& asked) {
    const Ipv4 to = asked.reach.addresses.front();
    // What the firewalls have just told of it is what they did, whatever was thought of their rules.
    const auto told = refusals_.of(asked.box->record.id);
    const auto found = std::find_if(told.rbegin(), told.rend(), [&](const RefusedEntry& entry) {
        return entry.flow.destination == to && entry.flow.port == asked.port && entry.last_ms >= asked.began_ms;
    });
    if (found != told.rend()) {
        asked.refuse(name_of(found->flow.rule), sentence_of(found->flow.rule));
        co_return Result<void>();
    }
    if (!asked.box->alive()) {
        asked.end(Reach::Verdict::kUntried, "The box has stopped while it was tried.");
        co_return Result<void>();
    }
    const auto look = [config = boxes_.mechanisms().network] { return netns::foreign_forward_drops(config); };
    CO_TRY_LET(const auto drops, co_await threads_.run_for(asked.box->record.customer, look));
    if (!drops.empty()) {
        std::string chains;
        for (const std::string& chain : drops) chains += (chains.empty() ? "" : ", ") + chain;
        asked.refuse("host_firewall",
                     "Nobody has answered, and another firewall on this host drops what boxes send unless "
                     "it says otherwise: " +
                         chains + ". `hutchd doctor` tells how to open it.");
        co_return Result<void>();
    }
    asked.end(Reach::Verdict::kSilent,
              "Nothing refuses it here, but " + asked.there() + ":" + std::to_string(asked.port) +
                  " has not answered a connection from the box's network within 4 s: it is off, or "
                  "what stands before it drops them.");
    co_return Result<void>();
}

}  // namespace hutch::daemon
