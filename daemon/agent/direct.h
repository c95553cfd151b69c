#pragma once

#include <optional>

#include "daemon/agent/harness.h"

namespace hutch::daemon {

/// The provider's own API, with the box's own key, which only the agent's process is given. Nothing where the box has
/// no key, or nobody knows where its model's provider is: then the program finds what it needs in the box, or says so.
std::optional<ModelAccess> direct_access(const AgentRecord& agent, const Harness& harness);

}  // namespace hutch::daemon
