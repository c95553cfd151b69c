#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::cgroups {

enum class Controller { kMemory, kPids, kCpu };
inline constexpr std::array kAllControllers{Controller::kMemory, Controller::kPids, Controller::kCpu};

const char* name_of(Controller controller);

/// Our parent group on one hierarchy; the groups of boxes are in it, those of customers between (customers.h).
struct Parent {
    std::string root;  ///< where the hierarchy is mounted; for messages only
    UniqueFd dir;
};

/// Our parent groups on all hierarchies that matter, held open for the life of the daemon, and where each controller
/// lives. Immutable once made; shared by the hierarchy and its groups, from any thread.
struct Parents {
    /// Where the files of a controller are: `dir` is our parent group there.
    struct Home {
        int dir = -1;
        bool v1 = false;
    };

    std::string name;            ///< of the parent group, the same everywhere
    Parent unified;              ///< the v2 tree: freeze, kill, events and CPU time are always there
    std::vector<Parent> v1;      ///< hybrid hosts: each v1 hierarchy that carries one of our controllers, once
    UniqueFd cpuset, cpuacct;    ///< roots of v1 hierarchies with these, where they are none of ours
    bool swap_limits = false;    ///< the memory controller counts swap
    bool io = false;             ///< the v2 tree has the controller of disks, and passes it on
    bool socket_limits = false;  ///< it is v1, and limits what sockets hold, apart from the rest

    [[nodiscard]] const Home& home(Controller controller) const { return homes[static_cast<size_t>(controller)]; }
    std::array<Home, kAllControllers.size()> homes;
};

/// Finds the mounted hierarchies, makes `name` in each that matters (an existing one is fine) and, where controllers
/// are on v2, enables them in the cgroup.subtree_control of root and parent. kUnsupported, saying what is missing,
/// when the host has no cgroup v2 mount or lacks a controller.
Result<Parents> make_parents(const std::string& name);
/// Enables the controllers that are on v2 for what is in the group of that name in our parent; where none is: nothing.
Result<void> pass_on_all(const Parents& parents, const std::string& name);

}  // namespace hutch::cgroups
