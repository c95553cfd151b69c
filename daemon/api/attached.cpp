// Attached headers: those of one box, and a customer's for all its boxes. Their values are never answered.

#include <algorithm>

#include "base/text.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr const char* kField = "attach_headers";

Response answer_rules(const HeaderRules& rules) {
    Json json = Json::object();
    json[kField] = attached_json(rules);
    return answer(std::move(json));
}

Result<HeaderRules> decode_rules(const Fields& fields) {
    HeaderRules rules;
    const Json object = TRY(fields.any_object(kField));
    for (const auto& [pattern, headers] : object.items()) {
        const std::string field = std::string(kField) + ": " + pattern;
        if (!headers.is_object()) return invalid(field + ": must be an object of strings");
        Pairs& pairs = rules[pattern];
        for (const auto& [name, value] : headers.items()) {
            if (!value.is_string()) return invalid(field + ": " + name + ": must be a string");
            pairs.emplace_back(name, value.get<std::string>());
        }
    }
    TRY(Attached::check(kField, rules));
    return rules;
}

// `unset`: whole patterns, or "PATTERN HEADER".
Result<HeaderRules> changed(HeaderRules rules, const Fields& fields) {
    for (const std::string& what : TRY(fields.texts("unset"))) {
        const size_t space = what.find(' ');
        const std::string pattern = what.substr(0, space);
        const auto found = rules.find(pattern);
        size_t gone = found == rules.end() ? 0 : 1;
        if (gone != 0 && space != std::string::npos) {
            const std::string name = lower(what.substr(space + 1));
            gone = std::erase_if(found->second, [&](const auto& header) { return lower(header.first) == name; });
        }
        if (gone == 0) return Error{ErrorKind::kNotFound, 0, "unset: no header is attached for \"" + what + '"'};
        if (space == std::string::npos || found->second.empty()) rules.erase(found);
    }
    for (const auto& [pattern, headers] : TRY(decode_rules(fields))) {
        Pairs& pairs = rules[pattern];
        for (const auto& [name, value] : headers) {
            std::erase_if(pairs, [&name = name](const auto& header) { return lower(header.first) == lower(name); });
            pairs.emplace_back(name, value);
        }
    }
    TRY(Attached::check(kField, rules));
    return rules;
}

Result<HeaderRules> wanted(const Exchange& exchange, const Fields& fields, HeaderRules now) {
    if (exchange.request().method == "PATCH") return changed(std::move(now), fields);
    if (!fields.has(kField)) return invalid("attach_headers: is required; {} takes all away");
    return decode_rules(fields);
}

Answer get_attached(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const HeaderRules rules, services.attached.of(*box));
    co_return std::optional(answer_rules(rules));
}

Answer set_attached(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    Attached::Next next = [&](HeaderRules now) { return wanted(exchange, fields, std::move(now)); };
    CO_TRY_LET(const HeaderRules rules, co_await services.attached.set(box, std::move(next)));
    services.boxes.note(*box, "info",
                        "headers are attached for " + std::to_string(rules.size()) + " patterns of hosts");
    co_return std::optional(answer_rules(rules));
}

Answer get_shared(Services& services, Exchange& exchange, const Params&) {
    CO_TRY_LET(const HeaderRules rules, services.attached.of_customer(exchange.request().caller.customer));
    co_return std::optional(answer_rules(rules));
}

Answer set_shared(Services& services, Exchange& exchange, const Params&) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    Attached::Next next = [&](HeaderRules now) { return wanted(exchange, fields, std::move(now)); };
    CO_TRY_LET(const HeaderRules rules,
               co_await services.attached.set_for_customer(exchange.request().caller.customer, std::move(next)));
    co_return std::optional(answer_rules(rules));
}

}  // namespace

Json attached_json(const HeaderRules& rules) {
    Json json = Json::object();
    for (const auto& [pattern, headers] : rules) {
        for (const auto& [name, value] : headers) json[pattern][name] = kMask;
    }
    return json;
}

// What is run at a box's beginning needs its headers, too.
Result<AttachedChoice> decode_attached(const Services& services, const Fields& fields, CreateBox& command) {
    AttachedChoice choice{.headers = TRY(decode_rules(fields))};
    choice.any = !choice.headers.empty() || !TRY(services.attached.of_customer(command.customer)).empty();
    if (choice.any) choice.init_command = std::exchange(command.init_command, "");
    return choice;
}

Task<Result<void>> attach(Services& services, std::vector<std::shared_ptr<Box>> boxes, AttachedChoice choice) {
    if (!choice.any) co_return Result<void>();
    Result<void> done;
    for (const auto& box : boxes) {
        if (done.ok()) {
            Attached::Next next = [&choice](const HeaderRules&) { return Result<HeaderRules>(choice.headers); };
            const auto set = co_await services.attached.set(box, std::move(next));
            if (!set.ok()) done = set.error();
        }
        if (!done.ok() || choice.init_command.empty()) continue;
        done = services.boxes.change(*box, [&](BoxRecord& record) { record.init_command = choice.init_command; });
        if (done.ok()) start_init_command(services, box);
    }
    if (done.ok()) co_return done;
    for (const auto& made : boxes) (void)co_await services.boxes.remove(made);
    co_return done;
}

void add_attached_routes(Router& router, Services& services) {
    for (const char* method : {"PUT", "PATCH"}) {
        router.add(method, "/v2/box/{id}/config/attach-headers", with(services, set_attached));
        router.add(method, "/v2/box/settings/attach-headers", with(services, set_shared));
    }
    router.add("GET", "/v2/box/{id}/config/attach-headers", with(services, get_attached));
    router.add("GET", "/v2/box/settings/attach-headers", with(services, get_shared));
}

}  // namespace hutch::daemon
