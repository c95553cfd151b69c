#include "client/build/kept_steps.h"

#include <algorithm>

namespace hutch::client {
namespace {

constexpr const char* kPrefix = "image-build:";

Result<void> remove_snapshots(const Api& api, const std::vector<std::string>& ids) {
    if (ids.empty()) return {};
    TRY(api.call("DELETE", "/v2/box/snapshots", {{"ids", ids}}));
    return {};
}

}  // namespace

/// Oldest first.
Result<std::vector<KeptSteps::Step>> KeptSteps::list(const Api& api) {
    std::vector<Step> steps;
    for (const Json& row : array_of(TRY(api.get("/v2/box/snapshots")), "snapshots")) {
        const std::string name = text_of(row, "name");
        if (name.starts_with(kPrefix)) steps.push_back({text_of(row, "id"), name, integer_of(row, "created_at")});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.created_at < b.created_at; });
    return steps;
}

Result<KeptSteps> KeptSteps::load(const Api& api, bool fresh) {
    KeptSteps kept(api);
    if (fresh) return kept;
    for (const Step& step : TRY(list(api))) kept.known_[step.name] = step.id;
    return kept;
}

std::optional<std::string> KeptSteps::find(const std::string& digest) {
    const auto found = known_.find(kPrefix + digest);
    if (found == known_.end()) return std::nullopt;
    used_.insert(found->second);
    return found->second;
}

Result<size_t> KeptSteps::make_room(size_t most) {
    std::vector<Step> steps = TRY(list(api_));
    std::vector<std::string> ids;
    for (const Step& step : steps) {
        const auto newer = known_.find(step.name);
        const bool replaced = newer != known_.end() && newer->second != step.id;
        const bool beyond = steps.size() - ids.size() > most && !used_.contains(step.id);
        if (replaced || beyond) ids.push_back(step.id);
    }
    TRY(remove_snapshots(api_, ids));
    return ids.size();
}

Result<std::string> KeptSteps::keep(Workshop& shop, const std::string& digest) {
    const std::string name = kPrefix + digest;
    auto taken = shop.snapshot(name);
    if (!taken.ok()) {
        const auto room = make_room(0);
        if (!room.ok() || room.value() == 0) return taken;
        taken = shop.snapshot(name);
    }
    const std::string id = TRY(std::move(taken));
    known_[name] = id;
    used_.insert(id);
    return id;
}

Result<void> KeptSteps::tidy() {
    TRY(make_room(kMost));
    return {};
}

Result<size_t> KeptSteps::remove_all(const Api& api) {
    std::vector<std::string> ids;
    for (const Step& step : TRY(list(api))) ids.push_back(step.id);
    TRY(remove_snapshots(api, ids));
    return ids.size();
}

}  // namespace hutch::client
