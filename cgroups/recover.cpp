#include <fcntl.h>

#include "base/file.h"
#include "cgroups/events.h"
#include "cgroups/hierarchy.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

Result<void> kill_unknown(const Parents& parents, const std::string& name) {
    const auto group = open_at(parents.unified.dir.get(), name, O_RDONLY | O_DIRECTORY);
    return group.ok() ? kill_all(group.value().get()) : Result<void>();
}

Result<void> remove_unknown(const Parents& parents, const std::string& name, Deadline deadline) {
    const auto group = open_at(parents.unified.dir.get(), name, O_RDONLY | O_DIRECTORY);
    if (group.ok()) TRY(wait_until_empty(group.value().get(), deadline));
    return remove_everywhere(parents, name);
}

bool may_pass(const Error& error) {
    return error.code == ETIMEDOUT || error.code == EBUSY;
}

}  // namespace

// All are killed before the first is waited for: they die side by side, and one that cannot die holds up no other.
Result<Recovered> Hierarchy::recover(const std::set<std::string>& known_ids, Millis timeout) {
    std::set<std::string> unknown = TRY_IN("listing groups", customers_->find_boxes());
    for (const std::string& id : known_ids) unknown.erase(id);
    std::map<std::string, std::string> places;
    for (const std::string& id : unknown) {
        const auto place = customers_->place_of(id);
        if (place.ok()) places[id] = place.value();  // else it is none of ours
    }
    for (const auto& [id, place] : places) TRY_IN("recovering " + id, kill_unknown(*parents_, place));
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    Recovered recovered;
    for (const auto& [id, place] : places) {
        auto removed = remove_unknown(*parents_, place, deadline);
        if (!removed.ok() && !may_pass(removed.error())) return std::move(removed).error().in("recovering " + id);
        if (removed.ok()) customers_->forget(id);
        (removed.ok() ? recovered.removed : recovered.busy).push_back(id);
    }
    customers_->remove_empty();
    return recovered;
}

}  // namespace hutch::cgroups
