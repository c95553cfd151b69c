#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/build/workshop.h"

namespace hutch::client {

/// Steps of builds that are not made again while they would come to the same: snapshots, called by the digest of all
/// that they are made of, of the customer who builds. They count as its other snapshots do.
class KeptSteps {
  public:
    /// `fresh`: none that is there is used.
    static Result<KeptSteps> load(const Api& api, bool fresh);
    /// The snapshot of that digest.
    std::optional<std::string> find(const std::string& digest);
    /// The box's files as they are now. Where there may be no more snapshots, those of other builds make room.
    Result<std::string> keep(Workshop& shop, const std::string& digest);
    /// The oldest beyond kMost go, those of this build last.
    Result<void> tidy();
    /// Deletes all; how many those were.
    static Result<size_t> remove_all(const Api& api);

  private:
    struct Step {
        std::string id, name;
        int64_t created_at = 0;
    };
    explicit KeptSteps(const Api& api) : api_(api) {}
    static Result<std::vector<Step>> list(const Api& api);
    Result<size_t> make_room(size_t most);

    static constexpr size_t kMost = 100;
    const Api& api_;
    std::map<std::string, std::string> known_;  ///< by name
    std::set<std::string> used_;                ///< ids
};

}  // namespace hutch::client
