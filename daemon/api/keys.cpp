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
    Json json = Json::object();
    json["name"] = name;
    json["key"] = key;
    co_return std::optional(answer(json, 201));
}

Answer list(KeyRing& keys, Exchange& exchange) {
    CO_TRY(check_operator(exchange));
    Json rows = Json::array();
    for (const KeyRecord& key : keys.list()) rows.push_back({{"name", key.customer}, {"created_at", key.created_at}});
    Json all = Json::object();
    all["keys"] = std::move(rows);
    co_return std::optional(answer(all));
}

Answer remove(KeyRing& keys, Exchange& exchange, const Params& params) {
    CO_TRY(check_operator(exchange));
    CO_TRY(co_await keys.remove(params.at("name")));
    co_return std::optional(Response{});
}

}  // namespace

void add_key_routes(Router& router, KeyRing& keys) {
    router.add("POST", "/v2/keys", [&keys](Exchange& exchange, const Params&) { return add(keys, exchange); });
    router.add("GET", "/v2/keys", [&keys](Exchange& exchange, const Params&) { return list(keys, exchange); });
    router.add("DELETE", "/v2/keys/{name}",
               [&keys](Exchange& exchange, const Params& params) { return remove(keys, exchange, params); });
}

}  // namespace hutch::daemon
