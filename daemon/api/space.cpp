// What takes how much of the store: images, snapshots and boxes, which share layers.

#include <sys/statvfs.h>

#include <algorithm>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

struct Holder {
    const char* kind;
    std::string id, name, customer;
    std::vector<std::string> layers;
    int64_t own_bytes = 0;  ///< beside its layers
};

std::vector<Holder> holders_of(const Services& services) {
    std::vector<Holder> holders;
    for (const ImageRecord& image : services.images.list()) {
        holders.push_back({"image", image.layers.front(), image.name,
                           image.customer == kLocalCustomer ? "" : image.customer, image.layers});
    }
    for (const SnapshotRecord& snapshot : services.snapshots.list()) {
        holders.push_back({"snapshot", snapshot.id, snapshot.name, snapshot.customer, snapshot.layers});
    }
    for (const auto& box : services.boxes.list()) {
        const BoxRecord& record = box->record;
        holders.push_back({"box", record.id, record.name, record.customer, record.layers, record.disk_bytes});
    }
    return holders;
}

Task<std::map<std::string, size_t>> count_layers(const Services& services, const std::vector<Holder>& holders) {
    std::map<std::string, size_t> counts;
    for (size_t i = 0; i < holders.size(); ++i) {
        for (const std::string& layer : holders[i].layers) ++counts[layer];
        co_await give_way(services, i);
    }
    co_return counts;
}

// "unique" is what deleting it gives back, "shared" what others hold too.
Json holder_json(const Layers& layers, const Holder& holder, const std::map<std::string, size_t>& counts) {
    int64_t shared = 0;
    int64_t unique = holder.own_bytes;
    bool measured = true;
    for (const std::string& layer : holder.layers) {
        const auto bytes = layers.bytes(layer);
        measured = measured && bytes.has_value();
        (counts.at(layer) > 1 ? shared : unique) += bytes.value_or(0);
    }
    Json json{{"kind", holder.kind},
              {"id", holder.id},
              {"name", holder.name},
              {"shared_bytes", shared},
              {"unique_bytes", unique},
              {"bytes", shared + unique},
              {"layers", holder.layers.size()},
              {"measured", measured}};
    if (!holder.customer.empty()) json["customer_id"] = holder.customer;
    return json;
}

Result<Json> store_json(const Services& services, const std::map<std::string, size_t>& counts) {
    struct statvfs disk {};
    const std::string& path = services.boxes.mechanisms().store.path();
    if (statvfs(path.c_str(), &disk) != 0) return errno_error("reading the size of " + path);
    int64_t layer_bytes = 0;
    for (const auto& [layer, count] : counts) layer_bytes += services.boxes.layers().bytes(layer).value_or(0);
    return Json{{"path", path},
                {"total_bytes", disk.f_blocks * disk.f_frsize},
                {"free_bytes", disk.f_bavail * disk.f_frsize},
                {"layers", counts.size()},
                {"layer_bytes", layer_bytes}};
}

// Never walks a tree while somebody waits: what is not known yet is asked for, and told the next time.
Answer space(Services& services, Exchange& exchange) {
    CO_TRY(check_local(exchange));
    const auto holders = holders_of(services);
    const auto counts = co_await count_layers(services, holders);
    std::vector<std::string> all;
    for (const auto& [layer, count] : counts) all.push_back(layer);
    CO_TRY_LET(Json json, store_json(services, counts));
    Json rows = Json::array();
    for (size_t i = 0; i < holders.size(); ++i) {
        rows.push_back(holder_json(services.boxes.layers(), holders[i], counts));
        co_await give_way(services, i);
    }
    json["holders"] = std::move(rows);
    services.boxes.layers().add_up(std::move(all));
    co_return std::optional(answer(json));
}

}  // namespace

void add_space_routes(Router& router, Services& services) {
    router.add("GET", "/v2/df", [&services](Exchange& exchange, const Params&) { return space(services, exchange); });
}

}  // namespace hutch::daemon
