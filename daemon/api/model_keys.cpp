// A customer's keys for the providers of models, which the agents of its boxes use without seeing them.

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostKey = 4096;  // bytes

Result<std::string> checked_key(const Fields& fields) {
    std::string key = TRY(fields.required_text("key"));
    const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
    if (key.empty() || key.size() > kMostKey || !std::all_of(key.begin(), key.end(), printable)) {
        return invalid("key: must be 1 to 4096 characters without spaces");
    }
    return key;
}

Answer put_model_key(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const ModelProvider* const provider, services.models.provider(params.at("provider")));
    CO_TRY_LET(std::string key, checked_key(fields));
    CO_TRY(
        services.boxes.records().put_model_key(exchange.request().caller.customer, {provider->name, std::move(key)}));
    co_return std::optional(Response{});
}

Answer remove_model_key(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const ModelProvider* const provider, services.models.provider(params.at("provider")));
    const std::string& customer = exchange.request().caller.customer;
    CO_TRY_LET(const bool was, services.boxes.records().drop_model_key(customer, provider->name));
    if (!was) co_return Error{ErrorKind::kNotFound, 0, "no key for " + provider->name + " is set"};
    co_return std::optional(Response{});
}

// Which there are; a key is never shown.
Answer list_model_keys(Services& services, Exchange& exchange, const Params&) {
    CO_TRY_LET(const auto keys, services.boxes.records().model_keys(exchange.request().caller.customer));
    Json providers = Json::array();
    for (const ModelKeyRecord& key : keys) providers.push_back(key.provider);
    Json all = Json::object();
    all["providers"] = std::move(providers);
    co_return std::optional(answer(all));
}

}  // namespace

void add_model_key_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/settings/model-keys", with(services, list_model_keys));
    router.add("PUT", "/v2/box/settings/model-keys/{provider}", with(services, put_model_key));
    router.add("DELETE", "/v2/box/settings/model-keys/{provider}", with(services, remove_model_key));
}

}  // namespace hutch::daemon
