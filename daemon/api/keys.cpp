// API keys, each of which is a customer. For the host's operator alone.

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Answer add(KeyRing& keys, Exchange& exchange) {
    CO_TRY(check_operator(exchange));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string name, fields.required_text("name"));
    CO_TRY(check_name("name", name));
    CO_TRY_LET(const std::string key, co_await keys.add(name));
    exchange.concern(name);
    Json json = Json::object();
    json["name"] = name;
    json["key"] = key;
    co_return std::optional(answer(json, 201));
}

// Each limit with what is used of it; null for none.
Json limits_json(const CustomerLimits& limits, const std::string& customer) {
    Json json = Json::object();
    for (const Resource resource : kAllResources) {
        const auto limit = limits.limit(customer, resource);
        json[name_of(resource)] = {{"used", limits.used(customer, resource)}, {"limit", limit ? Json(*limit) : Json()}};
    }
    return json;
}

// What one customer may take and do.
Json share_json(const CustomerLimits& limits, const std::string& customer) {
    return {{"limits", limits_json(limits, customer)},
            {"nesting", limits.may_nest(customer)},
            {"pull", limits.may_pull(customer)}};
}

Answer list(KeyRing& keys, CustomerLimits& limits, Exchange& exchange) {
    CO_TRY(check_operator(exchange));
    Json rows = Json::array();
    for (const KeyRecord& key : keys.list()) {
        Json row = share_json(limits, key.customer);
        row["name"] = key.customer;
        row["created_at"] = key.created_at;
        rows.push_back(std::move(row));
    }
    Json all = Json::object();
    all["keys"] = std::move(rows);
    co_return std::optional(answer(all));
}

Answer remove(KeyRing& keys, Exchange& exchange, const Params& params) {
    CO_TRY(check_operator(exchange));
    CO_TRY(co_await keys.remove(params.at("name")));
    co_return std::optional(Response{});
}

Result<std::vector<CustomerLimits::Setting>> decode_settings(const Fields& fields) {
    constexpr int64_t kMost = 1LL << 53;  // what JSON's readers hold exactly
    std::vector<CustomerLimits::Setting> settings;
    for (const Resource resource : kAllResources) {
        const char* const name = name_of(resource);
        const auto limit = TRY(fields.number(name));
        if (!limit) continue;
        if (*limit < 0 || *limit > kMost) {
            return invalid(std::string(name) + ": must be a whole number from 0, which is no limit, to 2^53");
        }
        settings.push_back({resource, *limit});
    }
    return settings;
}

Answer limit(KeyRing& keys, CustomerLimits& limits, Exchange& exchange, const Params& params) {
    CO_TRY(check_operator(exchange));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto settings, decode_settings(fields));
    CO_TRY_LET(const auto nesting, fields.flag("nesting"));
    CO_TRY_LET(const auto pull, fields.flag("pull"));
    const std::string& name = params.at("name");
    CO_TRY(keys.check(name));
    CO_TRY(co_await limits.set(name, settings, nesting, pull));
    co_return std::optional(answer(share_json(limits, name)));
}

}  // namespace

void add_key_routes(Router& router, KeyRing& keys, CustomerLimits& limits) {
    router.add("POST", "/v2/keys", [&keys](Exchange& exchange, const Params&) { return add(keys, exchange); });
    router.add("GET", "/v2/keys",
               [&keys, &limits](Exchange& exchange, const Params&) { return list(keys, limits, exchange); });
    router.add("PUT", "/v2/keys/{name}/limits", [&keys, &limits](Exchange& exchange, const Params& params) {
        return limit(keys, limits, exchange, params);
    });
    router.add("DELETE", "/v2/keys/{name}",
               [&keys](Exchange& exchange, const Params& params) { return remove(keys, exchange, params); });
}

}  // namespace hutch::daemon
