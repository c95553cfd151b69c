#include "cgroups/hierarchy.h"

#include "base/ids.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {

Result<Hierarchy> Hierarchy::open(const std::string& parent_name) {
    return Hierarchy(std::make_shared<const Parents>(TRY_IN("finding cgroups", make_parents(parent_name))));
}

std::string Hierarchy::describe() const {
    std::string text = hybrid() ? "hybrid" : "unified";
    text += ": groups in " + parents_->unified.root + "/" + parents_->name;
    for (const Controller controller : kAllControllers) {
        const auto& [dir, v1] = parents_->home(controller);
        text += std::string(", ") + name_of(controller) + (v1 ? " on v1 " : " on v2");
        for (const Parent& parent : parents_->v1) {
            if (parent.dir.get() == dir) text += parent.root;
        }
    }
    return text;
}

Result<Group> Hierarchy::create(const std::string& box_id, const Limits& limits, uid_t owner) {
    return TRY_IN("creating the cgroup of " + box_id, Group::create(parents_, box_id, limits, owner));
}

Result<Group> Hierarchy::reopen(const std::string& box_id) {
    return TRY_IN("reopening the cgroup of " + box_id, Group::open(parents_, box_id));
}

Result<void> Hierarchy::remove(const std::string& box_id) {
    if (!is_safe_id(box_id)) return invalid("\"" + box_id + "\" cannot name a group");
    TRY_IN("removing the cgroup of " + box_id, remove_everywhere(*parents_, kGroupPrefix + box_id));
    return {};
}

Result<void> Hierarchy::remove_parent() {
    TRY(remove_group_at(parents_->unified.dir.get(), "../" + parents_->name));
    for (const Parent& parent : parents_->v1) TRY(remove_group_at(parent.dir.get(), "../" + parents_->name));
    return {};
}

}  // namespace hutch::cgroups
