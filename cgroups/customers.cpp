#include "cgroups/customers.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

// With the prefix, no such name is that of a file of cgroupfs.
Result<std::string> group_of(const std::string& customer) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    };
    if (customer.empty() || customer.size() > 64 || !std::all_of(customer.begin(), customer.end(), allowed)) {
        return invalid("\"" + customer + "\" cannot name the group of a customer");
    }
    return kCustomerPrefix + customer;
}

Result<std::string> name_of_box(const std::string& box_id) {
    if (!is_safe_id(box_id)) return invalid("\"" + box_id + "\" cannot name a group");
    return kGroupPrefix + box_id;
}

std::vector<int> dirs_of(const Parents& parents) {
    std::vector<int> dirs{parents.unified.dir.get()};
    for (const Parent& parent : parents.v1) dirs.push_back(parent.dir.get());
    return dirs;
}

}  // namespace

Result<std::shared_ptr<Customers>> Customers::open(std::shared_ptr<const Parents> parents) {
    std::shared_ptr<Customers> customers(new Customers(std::move(parents)));
    TRY_IN("listing groups", customers->find_boxes());
    return customers;
}

Result<void> Customers::make(const std::string& group, const Sums& sums) {
    std::vector<int> made;
    Undo removal([&] {
        for (const int dir : made) (void)remove_group_at(dir, group);
    });
    for (const int dir : dirs_of(*parents_)) {
        if (mkdirat(dir, group.c_str(), 0755) == 0) {
            made.push_back(dir);
        } else if (errno != EEXIST) {
            return errno_error("making group " + group);
        }
    }
    TRY(pass_on_all(*parents_, group));
    TRY(apply_sums(*parents_, group, sums));
    removal.commit();
    return {};
}

Result<void> Customers::ensure(const std::string& customer, const Sums& sums) {
    const std::lock_guard guard(mutex_);
    if (ensured_.contains(customer)) return {};
    const std::string group = TRY(group_of(customer));
    TRY(make(group, sums));
    ensured_.insert(customer);
    return {};
}

// EBUSY is as good: a box is in it.
void Customers::remove_everywhere(const std::string& group) {
    for (const int dir : dirs_of(*parents_)) {
        if (!remove_group_at(dir, group).ok()) return;
    }
}

void Customers::remove_empty() {
    const auto all = groups();
    if (!all.ok()) return;
    const std::string prefix = kCustomerPrefix;
    const std::lock_guard guard(mutex_);
    for (const std::string& group : all.value()) {
        if (!group.starts_with(prefix)) continue;
        remove_everywhere(group);
        ensured_.erase(group.substr(prefix.size()));
    }
}

Result<std::string> Customers::place_of(const std::string& box_id) const {
    const std::string name = TRY(name_of_box(box_id));
    const std::lock_guard guard(mutex_);
    const auto found = places_.find(box_id);
    return found == places_.end() ? name : found->second;
}

Result<std::string> Customers::place_in(const std::string& customer, const std::string& box_id) {
    const std::string name = TRY(name_of_box(box_id));
    if (customer.empty()) return name;
    return TRY(group_of(customer)) + "/" + name;
}

void Customers::note(const std::string& box_id, std::string place) {
    const std::lock_guard guard(mutex_);
    places_[box_id] = std::move(place);
}

void Customers::forget(const std::string& box_id) {
    const std::lock_guard guard(mutex_);
    places_.erase(box_id);
}

// A removal that was cut short may have left a group on some hierarchies only, so all of them are listed.
Result<std::set<std::string>> Customers::groups() const {
    std::set<std::string> names;
    for (const int dir : dirs_of(*parents_)) {
        for (const std::string& name : TRY(list_groups(dir, "."))) names.insert(name);
    }
    return names;
}

Result<std::set<std::string>> Customers::find_boxes() {
    const std::string box = kGroupPrefix;
    std::set<std::string> ids;
    for (const std::string& group : TRY(groups())) {
        if (group.starts_with(box)) ids.insert(group.substr(box.size()));
        if (!group.starts_with(kCustomerPrefix)) continue;
        for (const int dir : dirs_of(*parents_)) {
            for (const std::string& name : TRY(list_groups(dir, group))) {
                if (!name.starts_with(box)) continue;
                const std::string id = name.substr(box.size());
                ids.insert(id);
                const std::lock_guard guard(mutex_);
                places_[id] = group + "/" + name;
            }
        }
    }
    return ids;
}

}  // namespace hutch::cgroups
