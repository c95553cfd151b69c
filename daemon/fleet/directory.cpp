#include "daemon/fleet/directory.h"

#include "daemon/log.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {
namespace {

std::optional<Json> object_in(const std::string& text) {
    auto json = parse_json(text);
    if (!json.ok() || !json.value().is_object()) return std::nullopt;
    return std::move(json).value();
}

std::optional<FleetLoad> told_load(const std::string& value) {
    const auto json = object_in(value);
    if (!json) return std::nullopt;
    FleetLoad load{.address = text_at(*json, "address"),
                   .version = text_at(*json, "version"),
                   .boxes = count_at(*json, "boxes"),
                   .max_boxes = count_at(*json, "max_boxes"),
                   .cpus = count_at(*json, "cpus"),
                   .cpu_pressure = amount_at(*json, "cpu_pressure"),
                   .memory_bytes = count_at(*json, "memory_bytes"),
                   .available_bytes = count_at(*json, "available_bytes"),
                   .disk_bytes = count_at(*json, "disk_bytes"),
                   .disk_free_bytes = count_at(*json, "disk_free_bytes"),
                   .told_at = count_at(*json, "told_at")};
    for (const Json& image : array_at(*json, "images")) {
        if (image.is_string()) load.images.push_back(image.get<std::string>());
    }
    return load;
}

std::optional<KeyRecord> api_key_of(const std::string& customer, const std::string& value) {
    const auto json = object_in(value);
    if (!json) return std::nullopt;
    return KeyRecord{customer, text_at(*json, "sha256"), count_at(*json, "created_at")};
}

}  // namespace

std::string text_of(const FleetLoad& load) {
    return dump(Json{{"address", load.address},
                     {"version", load.version},
                     {"boxes", load.boxes},
                     {"max_boxes", load.max_boxes},
                     {"cpus", load.cpus},
                     {"cpu_pressure", load.cpu_pressure},
                     {"memory_bytes", load.memory_bytes},
                     {"available_bytes", load.available_bytes},
                     {"disk_bytes", load.disk_bytes},
                     {"disk_free_bytes", load.disk_free_bytes},
                     {"images", load.images},
                     {"told_at", load.told_at}});
}

std::string text_of(const FleetMember& member) {
    return dump(Json{{"state", member.cordoned ? "cordoned" : "active"}, {"store", member.store}});
}

std::string text_of(const FleetBox& box) {
    return dump(Json{{"host", box.host}, {"name", box.name}, {"created_at", box.created_at}});
}

std::string text_of(const KeyRecord& key) {
    return dump(Json{{"sha256", key.hash}, {"created_at", key.created_at}});
}

std::optional<FleetBox> Directory::box_of(const EtcdRow& row) {
    const auto json = object_in(row.value);
    const size_t id = row.key.rfind('/');
    const size_t customer = id == std::string::npos || id == 0 ? id : row.key.rfind('/', id - 1);
    if (!json || customer == std::string::npos) return std::nullopt;
    return FleetBox{.id = row.key.substr(id + 1),
                    .customer = row.key.substr(customer + 1, id - customer - 1),
                    .name = text_at(*json, "name"),
                    .host = text_at(*json, "host"),
                    .created_at = count_at(*json, "created_at")};
}

std::optional<FleetMember> Directory::member_of(const std::string& value) {
    const auto json = object_in(value);
    if (!json) return std::nullopt;
    return FleetMember{text_at(*json, "state") == "cordoned", text_at(*json, "store")};
}

std::optional<std::pair<std::string, std::string>> Directory::parts_of(const std::string& key) const {
    if (!key.starts_with(keys_.all)) return std::nullopt;
    const size_t slash = key.find('/', keys_.all.size());
    if (slash == std::string::npos) return std::nullopt;
    return std::pair(key.substr(keys_.all.size(), slash - keys_.all.size()), key.substr(slash + 1));
}

void Directory::put(const EtcdRow& row) {
    const auto parts = parts_of(row.key);
    if (!parts) return;
    const auto& [kind, rest] = *parts;
    bool read = true;
    if (kind == "host") {
        auto load = told_load(row.value);
        read = load.has_value();
        if (load) hosts_[rest] = *std::move(load);
        silent_since_.erase(rest);
    } else if (kind == "member") {
        auto member = member_of(row.value);
        read = member.has_value();
        if (member) members_[rest] = *std::move(member);
    } else if (kind == "box") {
        auto box = box_of(row);
        read = box.has_value();
        if (!box) return;
        forget_box(box->id);
        if (!box->name.empty()) names_[{box->customer, box->name}] = box->id;
        boxes_[box->id] = *std::move(box);
    } else if (kind == "key") {
        auto key = api_key_of(rest, row.value);
        read = key.has_value();
        if (key) api_keys_[rest] = *std::move(key);
    }
    if (!read) log_warning("the fleet's etcd: {} holds what is not understood", row.key);
}

void Directory::forget_box(const std::string& id) {
    const auto found = boxes_.find(id);
    if (found == boxes_.end()) return;
    const auto name = names_.find({found->second.customer, found->second.name});
    if (name != names_.end() && name->second == id) names_.erase(name);
    boxes_.erase(found);
}

void Directory::drop(const std::string& key, int64_t now) {
    const auto parts = parts_of(key);
    if (!parts) return;
    const auto& [kind, rest] = *parts;
    if (kind == "host" && hosts_.erase(rest) > 0) silent_since_[rest] = now;
    if (kind == "member") {
        members_.erase(rest);
        silent_since_.erase(rest);
    }
    if (kind == "box") forget_box(rest.substr(rest.rfind('/') + 1));
    if (kind == "key") api_keys_.erase(rest);
}

void Directory::replace(Directory fresh, int64_t now) {
    for (const auto& [host, load] : hosts_) silent_since_.try_emplace(host, now);
    for (const auto& [host, load] : fresh.hosts_) silent_since_.erase(host);
    std::erase_if(silent_since_, [&fresh](const auto& entry) { return !fresh.members_.contains(entry.first); });
    fresh.silent_since_ = std::move(silent_since_);
    *this = std::move(fresh);
}

std::vector<KeyRecord> Directory::api_keys() const {
    std::vector<KeyRecord> all;
    for (const auto& [customer, key] : api_keys_) all.push_back(key);
    return all;
}

std::optional<FleetBox> Directory::find(const std::string& customer, const std::string& id_or_name, bool any) const {
    const auto named = names_.find({customer, id_or_name});
    const auto found = boxes_.find(named == names_.end() ? id_or_name : named->second);
    if (found == boxes_.end() || (!any && found->second.customer != customer)) return std::nullopt;
    return found->second;
}

std::optional<int64_t> Directory::silent_since(const std::string& host) const {
    const auto found = silent_since_.find(host);
    return found == silent_since_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace hutch::daemon
