#include <fcntl.h>

#include "base/file.h"
#include "cgroups/events.h"
#include "cgroups/hierarchy.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

// A removal that was cut short may have left a group on some hierarchies only, so all of them are listed.
Result<std::set<std::string>> ids_on_host(const Parents& parents) {
    std::vector<int> dirs{parents.unified.dir.get()};
    for (const Parent& parent : parents.v1) dirs.push_back(parent.dir.get());
    std::set<std::string> ids;
    const std::string prefix = kGroupPrefix;
    for (const int dir : dirs) {
        for (const std::string& name : TRY(list_groups(dir, "."))) {
            if (name.starts_with(prefix)) ids.insert(name.substr(prefix.size()));
        }
    }
    return ids;
}

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
    std::set<std::string> unknown = TRY_IN("listing groups", ids_on_host(*parents_));
    for (const std::string& id : known_ids) unknown.erase(id);
    for (const std::string& id : unknown) TRY_IN("recovering " + id, kill_unknown(*parents_, kGroupPrefix + id));
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    Recovered recovered;
    for (const std::string& id : unknown) {
        auto removed = remove_unknown(*parents_, kGroupPrefix + id, deadline);
        if (!removed.ok() && !may_pass(removed.error())) return std::move(removed).error().in("recovering " + id);
        (removed.ok() ? recovered.removed : recovered.busy).push_back(id);
    }
    return recovered;
}

}  // namespace hutch::cgroups
