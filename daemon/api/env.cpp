// Environment variables: a customer's, for all its boxes, and the rules for those of one box.

#include <algorithm>
#include <cctype>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostVariables = 500;
constexpr size_t kMostVariableBytes = 64 * 1024;  // a command's words and variables go to its box's init in one packet

bool is_identifier(const std::string& name) {
    const auto allowed = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    return !name.empty() && name.size() <= 256 && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
           std::all_of(name.begin(), name.end(), allowed);
}

/// A slip here, in a variable for all boxes, would leave them all without a shell.
bool is_search_path(const std::string& value) {
    return value.starts_with('/') || value.find(":/") != std::string::npos;
}

Result<void> check_variable(const std::string& field, const std::string& name, const std::string& value) {
    if (!is_identifier(name)) {
        return invalid(field + ": \"" + name + "\" must be letters, digits and '_', not beginning with a digit");
    }
    if (is_reserved_variable(name)) return invalid(field + ": " + name + " is reserved; choose another name");
    if (value.find('\0') != std::string::npos) return invalid(field + ": the value of " + name + " contains a NUL");
    if (name == "PATH" && !is_search_path(value)) {
        return invalid(field + ": PATH must have directories that begin with '/', and ':' between them");
    }
    return {};
}

Response answer_env(const Pairs& env) {
    Json masked = Json::object();
    for (const auto& [name, value] : env) masked[name] = kMask;
    return answer(Json{{"env_vars", std::move(masked)}});
}

Result<std::optional<Response>> set_env(Services& services, const std::string& customer, const Pairs& env) {
    TRY(services.boxes.records().put_env(customer, env));
    return std::optional(answer_env(env));
}

bool take_away(Pairs& env, const std::string& name) {
    return std::erase_if(env, [&name](const auto& variable) { return variable.first == name; }) != 0;
}

void set(Pairs& env, const std::string& name, const std::string& value) {
    take_away(env, name);
    env.emplace_back(name, value);
}

Error no_variable(const std::string& name) {
    return {ErrorKind::kNotFound, 0, "no variable for all boxes is called \"" + name + "\""};
}

Answer get(Services& services, Exchange& exchange) {
    CO_TRY_LET(const Pairs env, services.boxes.records().env_of(exchange.request().caller.customer));
    co_return std::optional(answer_env(env));
}

Answer replace(Services& services, Exchange& exchange) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    if (!fields.has("env_vars")) co_return invalid("env_vars: is required, an object of strings; {} takes all away");
    CO_TRY_LET(Pairs env, fields.pairs("env_vars"));
    CO_TRY_LET(env, checked_env("env_vars", std::move(env)));
    co_return set_env(services, exchange.request().caller.customer, env);
}

Answer put_variable(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string value, fields.required_text("value"));
    const std::string& customer = exchange.request().caller.customer;
    CO_TRY_LET(Pairs env, services.boxes.records().env_of(customer));
    set(env, params.at("key"), value);
    CO_TRY_LET(env, checked_env("key", std::move(env)));
    co_return set_env(services, customer, env);
}

// Some of them: all that is said, or nothing.
Answer change(Services& services, Exchange& exchange) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Pairs added, fields.pairs("env_vars"));
    CO_TRY_LET(const auto unset, fields.texts("unset"));
    const std::string& customer = exchange.request().caller.customer;
    CO_TRY_LET(Pairs env, services.boxes.records().env_of(customer));
    for (const std::string& name : unset) {
        if (!take_away(env, name)) co_return no_variable(name);
    }
    for (const auto& [name, value] : added) set(env, name, value);
    CO_TRY_LET(env, checked_env("env_vars", std::move(env)));
    co_return set_env(services, customer, env);
}

Answer remove_variable(Services& services, Exchange& exchange, const Params& params) {
    const std::string& customer = exchange.request().caller.customer;
    CO_TRY_LET(Pairs env, services.boxes.records().env_of(customer));
    const std::string& key = params.at("key");
    if (!take_away(env, key)) co_return no_variable(key);
    co_return set_env(services, customer, env);
}

}  // namespace

bool is_reserved_variable(const std::string& name) {
    static const char* const kReserved[] = {"HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "NODE_OPTIONS"};
    return std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved);
}

Result<Pairs> checked_env(const std::string& field, Pairs env) {
    if (env.size() > kMostVariables) return invalid(field + ": at most 500 variables");
    size_t bytes = 0;
    for (const auto& [name, value] : env) {
        TRY(check_variable(field, name, value));
        bytes += name.size() + value.size() + 2;
    }
    if (bytes > kMostVariableBytes)
        return invalid(field + ": the variables are longer than 64 KiB together; use a file");
    return env;
}

Result<Pairs> environment_of(const Services& services, const Box& box) {
    const auto image = services.images.find(box.record.image, box.record.customer);  // may have been removed since
    return environment_of(services, box, image.ok() ? image.value().env : Pairs());
}

Result<Pairs> environment_of(const Services& services, const Box& box, const Pairs& given) {
    Pairs env = given;
    const Pairs shared = TRY(services.boxes.records().env_of(box.record.customer));
    env.insert(env.end(), shared.begin(), shared.end());
    if (box.record.attaches) {
        const Pairs authorities = Attached::environment();
        env.insert(env.begin(), authorities.begin(), authorities.end());
    }
    for (const auto& variable : box.record.env) {  // which its image's are part of since its creation
        if (std::find(given.begin(), given.end(), variable) == given.end()) env.push_back(variable);
    }
    return env;
}

void add_env_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/settings/env",
               [&services](Exchange& exchange, const Params&) { return get(services, exchange); });
    router.add("PUT", "/v2/box/settings/env",
               [&services](Exchange& exchange, const Params&) { return replace(services, exchange); });
    router.add("PATCH", "/v2/box/settings/env",
               [&services](Exchange& exchange, const Params&) { return change(services, exchange); });
    router.add("PUT", "/v2/box/settings/env/{key}", with(services, put_variable));
    router.add("DELETE", "/v2/box/settings/env/{key}", with(services, remove_variable));
}

}  // namespace hutch::daemon
