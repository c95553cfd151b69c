// The hosts of a fleet. For the host's operator.

#include <algorithm>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Result<Fleet*> fleet_of(const Services& services) {
    if (services.fleet != nullptr) return services.fleet;
    return Error{ErrorKind::kConflict, 0, "this host is in no fleet; see the option fleet of hutchd"};
}

Json host_json(const Directory& directory, const std::string& name, const FleetMember& member) {
    Json row{{"name", name}, {"state", member.cordoned ? "cordoned" : "active"}, {"there", false}};
    if (const auto since = directory.silent_since(name)) row["silent_since"] = *since;
    const auto& boxes = directory.boxes();
    row["boxes"] =
        std::count_if(boxes.begin(), boxes.end(), [&name](const auto& entry) { return entry.second.host == name; });
    const auto found = directory.hosts().find(name);
    if (found == directory.hosts().end()) return row;
    const FleetLoad& load = found->second;
    row["there"] = true;
    row["address"] = load.address;
    row["version"] = load.version;
    row["max_boxes"] = load.max_boxes;
    row["cpus"] = load.cpus;
    row["cpu_pressure"] = load.cpu_pressure;
    row["memory_bytes"] = load.memory_bytes;
    row["available_bytes"] = load.available_bytes;
    row["disk_bytes"] = load.disk_bytes;
    row["disk_free_bytes"] = load.disk_free_bytes;
    row["load"] = load_of(load, 0);
    row["told_at"] = load.told_at;
    return row;
}

Answer list_hosts(Services& services, Exchange& exchange, const Params&) {
    CO_TRY(check_local(exchange));
    const Fleet* const fleet = services.fleet;
    Json rows = Json::array();
    Json all = Json::object();
    all["fleet"] = services.config.fleet;
    all["self"] = fleet == nullptr ? "" : fleet->self();
    if (fleet != nullptr) {
        for (const auto& [name, member] : fleet->directory().members()) {
            rows.push_back(host_json(fleet->directory(), name, member));
        }
        if (!fleet->trouble().empty()) all["trouble"] = fleet->trouble();
    }
    all["hosts"] = std::move(rows);
    co_return std::optional(answer(std::move(all)));
}

Answer change_host(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY(check_operator(exchange));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string state, fields.required_text("state"));
    if (state != "active" && state != "cordoned") co_return invalid("state: must be active or cordoned");
    CO_TRY_LET(Fleet* const fleet, fleet_of(services));
    const bool cordoned = state == "cordoned";
    CO_TRY(co_await fleet->cordon(params.at("host"), cordoned));
    co_return std::optional(Response{});
}

Answer remove_host(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY(check_operator(exchange));
    CO_TRY_LET(Fleet* const fleet, fleet_of(services));
    CO_TRY_LET(const bool force, query_flag(exchange, "force"));
    CO_TRY(co_await fleet->remove(params.at("host"), force));
    co_return std::optional(Response{});
}

}  // namespace

void add_hosts_routes(Router& router, Services& services) {
    router.add("GET", "/v2/hosts", with(services, list_hosts));
    router.add("PUT", "/v2/hosts/{host}", with(services, change_host));
    router.add("DELETE", "/v2/hosts/{host}", with(services, remove_host));
}

}  // namespace hutch::daemon
