#pragma once

#include <memory>

#include "cgroups/hierarchy.h"
#include "daemon/config.h"
#include "daemon/uid_slots.h"
#include "netns/known_names.h"
#include "netns/policy.h"
#include "netns/pool.h"
#include "overlayfs/reaper.h"
#include "overlayfs/spares.h"
#include "overlayfs/store.h"
#include "runtime/launcher.h"

namespace hutch::daemon {

/// The four mechanism folders, opened once. Used from worker threads; they meet only here and in builder.cpp, as
/// descriptors.
struct Mechanisms {
    Config config;
    netns::Config network;
    overlayfs::Store store;
    cgroups::Hierarchy cgroups;
    cgroups::Sums customer_sums;  ///< of each customer but the host's own
    runtime::Launcher launcher;
    UidSlots uid_slots;  ///< of the event loop alone
    std::unique_ptr<netns::Policies> policies;
    std::unique_ptr<netns::Pool> slots;
    std::unique_ptr<overlayfs::Spares> spares;  ///< none where they would gain nothing
    std::unique_ptr<overlayfs::Reaper> reaper;
    std::unique_ptr<netns::KnownNames> names;
};

}  // namespace hutch::daemon
