#pragma once

#include <sys/types.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroups/customers.h"
#include "cgroups/group.h"
#include "cgroups/limits.h"
#include "cgroups/parents.h"

namespace hutch::cgroups {

/// What recover found that no one knows, by box id.
struct Recovered {
    std::vector<std::string> removed;
    std::vector<std::string> busy;  ///< killed, but something in them does not die (uninterruptible); try again later
};

/// The host's cgroups as far as they are ours: one parent group per hierarchy, in it a group per customer
/// (customers.h), and in that the boxes' groups. Reads /proc/self/mountinfo once; afterwards everything goes through
/// held directory fds. Groups may outlive it.
class Hierarchy {
  public:
    /// `parent_name` is the parent group's name on every hierarchy, one per daemon. See make_parents for the errors.
    static Result<Hierarchy> open(const std::string& parent_name);

    /// True where at least one of memory, pids and cpu is on v1.
    [[nodiscard]] bool hybrid() const { return !parents_->v1.empty(); }
    /// One line for an operator: where the groups are and where each controller lives.
    [[nodiscard]] std::string describe() const;

    /// Makes the customer's group, or sets the sums of the one that is there. See Customers::ensure.
    Result<void> ensure_customer(const std::string& customer, const Sums& sums);
    /// Removes those of customers who have no boxes: at the daemon's end.
    void remove_empty_customers() { customers_->remove_empty(); }

    /// `customer`: whose group it is to be in, which is there; empty: directly in the parent. kInvalid for an id that
    /// is no safe name.
    Result<Group> create(const std::string& box_id, const Limits& limits, uid_t owner,
                         const std::string& customer = "");
    /// ENOENT when the box has no group (any more).
    Result<Group> reopen(const std::string& box_id);
    /// Removes what there is of a box's group, which may be parts of it only. As Group::remove.
    Result<void> remove(const std::string& box_id);

    /// Kills and removes the groups of boxes that are not in `known_ids`, waiting at most `timeout` for all of them
    /// to die. What does not carry our prefix is left alone.
    Result<Recovered> recover(const std::set<std::string>& known_ids, Millis timeout);

    /// Removes the empty parent groups, with those of customers; EBUSY while a box has a group. Nothing works after it.
    Result<void> remove_parent();

  private:
    Hierarchy(std::shared_ptr<const Parents> parents, std::shared_ptr<Customers> customers)
        : parents_(std::move(parents)), customers_(std::move(customers)) {}

    std::shared_ptr<const Parents> parents_;
    std::shared_ptr<Customers> customers_;
};

}  // namespace hutch::cgroups
