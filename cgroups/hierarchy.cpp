#include "cgroups/hierarchy.h"

#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {

Result<Hierarchy> Hierarchy::open(const std::string& parent_name) {
    auto parents = std::make_shared<const Parents>(TRY_IN("finding cgroups", make_parents(parent_name)));
    auto customers = TRY_IN("finding cgroups", Customers::open(parents));
    return Hierarchy(std::move(parents), std::move(customers));
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

Result<void> Hierarchy::ensure_customer(const std::string& customer, const Sums& sums) {
    TRY_IN("the cgroup of customer " + customer, customers_->ensure(customer, sums));
    return {};
}

Result<Group> Hierarchy::create(const std::string& box_id, const Limits& limits, uid_t owner,
                                const std::string& customer) {
    const std::string operation = "creating the cgroup of " + box_id;
    std::string place = TRY_IN(operation, Customers::place_in(customer, box_id));
    Group group = TRY_IN(operation, Group::create(parents_, place, limits, owner));
    customers_->note(box_id, std::move(place));
    return group;
}

Result<Group> Hierarchy::reopen(const std::string& box_id) {
    const std::string operation = "reopening the cgroup of " + box_id;
    const std::string place = TRY_IN(operation, customers_->place_of(box_id));
    return TRY_IN(operation, Group::open(parents_, place));
}

Result<void> Hierarchy::remove(const std::string& box_id) {
    const std::string operation = "removing the cgroup of " + box_id;
    const std::string place = TRY_IN(operation, customers_->place_of(box_id));
    TRY_IN(operation, remove_everywhere(*parents_, place));
    customers_->forget(box_id);
    return {};
}

Result<void> Hierarchy::remove_parent() {
    customers_->remove_empty();
    TRY(remove_group_at(parents_->unified.dir.get(), "../" + parents_->name));
    for (const Parent& parent : parents_->v1) TRY(remove_group_at(parent.dir.get(), "../" + parents_->name));
    return {};
}

}  // namespace hutch::cgroups
