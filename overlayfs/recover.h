#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// Names of what recover() moved to trash.
struct Recovered {
    std::vector<std::string> layers;      ///< of no known layer, or half made
    std::vector<std::string> uppers;      ///< of no known box
    std::vector<std::string> unfinished;  ///< from tmp/
};

/// For the start, before anything else uses the store: what no row knows goes to trash, and all of tmp/. Files of a
/// known box or layer are never touched. Idempotent. The Reaper does the deleting.
Result<Recovered> recover(const Store& store, const std::set<std::string>& known_layers,
                          const std::set<std::string>& known_boxes);

}  // namespace hutch::overlayfs
