#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hutch::overlayfs {

/// Goes through a tree, however deep, without recursion: `levels` are the directories from the root down to here, each
/// with its `directories` that are still to be visited. `down(name)` enters one and adds a level, or adds none;
/// `leave()` takes the last level off. `here()` names the place for an error.
template <typename Level, typename Here, typename Down, typename Leave>
Result<void> descend(std::vector<Level>& levels, Here here, Down down, Leave leave) {
    while (!levels.empty()) {
        auto& directories = levels.back().directories;
        if (directories.empty()) {
            TRY_IN(here(), leave());
            continue;
        }
        const std::string name = std::move(directories.back());
        directories.pop_back();
        TRY_IN(here(), down(name));
    }
    return {};
}

}  // namespace hutch::overlayfs
