// A box's network policy: what it may talk to.

#include <algorithm>

#include "daemon/api/resources.h"
#include "netns/domain.h"
#include "netns/policy.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostNetworks = 256;
constexpr size_t kMostDomains = 256;

constexpr std::pair<const char*, NetworkMode> kModes[] = {
    {"allow-all", NetworkMode::kAllowAll}, {"deny-all", NetworkMode::kDenyAll}, {"custom", NetworkMode::kCustom}};

const char* name_of(NetworkMode mode) {
    for (const auto& [name, value] : kModes) {
        if (value == mode) return name;
    }
    return "deny-all";
}

Result<NetworkMode> decode_mode(const Fields& fields) {
    const std::string text = TRY(fields.required_text("mode"));
    for (const auto& [name, value] : kModes) {
        if (text == name) return value;
    }
    return invalid("mode: must be allow-all, deny-all or custom");
}

Result<std::vector<std::string>> decode_networks(const Fields& fields, const char* field) {
    auto networks = TRY(fields.texts(field));
    if (networks.size() > kMostNetworks) return invalid(std::string(field) + ": at most 256 networks");
    for (const std::string& network : networks) {
        if (network.find(':') != std::string::npos) {
            return invalid(std::string(field) + ": \"" + network + "\": boxes have no IPv6; leave it out");
        }
        auto parsed = netns::parse_network(network);
        if (!parsed.ok()) return std::move(parsed).error().in(field);
    }
    return networks;
}

Result<std::vector<std::string>> decode_domains(const Fields& fields) {
    constexpr const char* kField = "allowed_domains";
    const auto texts = TRY(fields.texts(kField));
    if (texts.size() > kMostDomains) return invalid(std::string(kField) + ": at most 256 names");
    std::vector<std::string> domains;
    for (const std::string& text : texts) {
        std::string domain = TRY_IN(kField, netns::parse_domain(text));
        if (std::find(domains.begin(), domains.end(), domain) == domains.end()) domains.push_back(std::move(domain));
    }
    return domains;
}

Answer set(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const NetworkPolicy policy, decode_network(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY(co_await services.boxes.set_network(box, policy));
    services.boxes.note(*box, "info", std::string("network policy ") + name_of(policy.mode));
    co_return std::optional(answer(network_json(policy)));
}

}  // namespace

Result<NetworkPolicy> decode_network(const Fields& fields) {
    NetworkPolicy policy;
    policy.mode = TRY(decode_mode(fields));
    policy.allowed_domains = TRY(decode_domains(fields));
    policy.allowed_cidrs = TRY(decode_networks(fields, "allowed_cidrs"));
    policy.denied_cidrs = TRY(decode_networks(fields, "denied_cidrs"));
    const bool lists = !policy.allowed_domains.empty() || !policy.allowed_cidrs.empty() || !policy.denied_cidrs.empty();
    if (policy.mode == NetworkMode::kCustom && !lists) {
        return invalid(
            "mode: custom needs networks in allowed_cidrs or denied_cidrs, or names in allowed_domains; or use "
            "allow-all or deny-all");
    }
    if (policy.mode != NetworkMode::kCustom && lists) {
        return invalid("mode: allowed_domains, allowed_cidrs and denied_cidrs are for custom; leave them out");
    }
    return policy;
}

Json network_json(const NetworkPolicy& policy) {
    Json json{{"mode", name_of(policy.mode)}};
    if (!policy.allowed_domains.empty()) json["allowed_domains"] = policy.allowed_domains;
    if (!policy.allowed_cidrs.empty()) json["allowed_cidrs"] = policy.allowed_cidrs;
    if (!policy.denied_cidrs.empty()) json["denied_cidrs"] = policy.denied_cidrs;
    return json;
}

void add_network_routes(Router& router, Services& services) {
    router.add("PUT", "/v2/box/{id}/config/network-policy", with(services, set));
}

}  // namespace hutch::daemon
