#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "cgroups/limits.h"
#include "cgroups/parents.h"

namespace hutch::cgroups {

/// The groups between our parent group and those of boxes, one for each customer on every hierarchy: "c-" + its name.
/// The kernel shares CPU among them first, whatever number of boxes each has, and holds them to their sums. A box of an
/// earlier daemon may still be directly in the parent. From any thread.
class Customers {
  public:
    /// Looks where the boxes are that are there already.
    static Result<std::shared_ptr<Customers>> open(std::shared_ptr<const Parents> parents);

    /// Makes the customer's group, or sets the sums of the one that is there, once; after that it costs nothing.
    /// kInvalid for a name that is not safe.
    Result<void> ensure(const std::string& customer, const Sums& sums);
    /// Removes the groups in which no box is.
    void remove_empty();

    /// Where a box's group is, below our parents; "b-ID" for one that is not known. kInvalid for an id that is not
    /// safe.
    [[nodiscard]] Result<std::string> place_of(const std::string& box_id) const;
    /// Where one of this customer is to be; empty customer: directly in the parent.
    [[nodiscard]] static Result<std::string> place_in(const std::string& customer, const std::string& box_id);
    void note(const std::string& box_id, std::string place);
    void forget(const std::string& box_id);
    /// The ids of all boxes that have a group on any hierarchy, or a part of one.
    [[nodiscard]] Result<std::set<std::string>> find_boxes();

  private:
    explicit Customers(std::shared_ptr<const Parents> parents) : parents_(std::move(parents)) {}
    Result<void> make(const std::string& group, const Sums& sums);
    void remove_everywhere(const std::string& group);
    Result<std::set<std::string>> groups() const;

    std::shared_ptr<const Parents> parents_;
    mutable std::mutex mutex_;
    std::set<std::string> ensured_;              ///< customers
    std::map<std::string, std::string> places_;  ///< of boxes in a customer's group, by id
};

}  // namespace hutch::cgroups
