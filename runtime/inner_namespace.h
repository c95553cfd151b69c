#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::runtime {

/// A user namespace within `outer`, a box's, with the ids of `map`, as in uid_map of user_namespaces(7). What the
/// processes in it make of namespaces is held to kNamespaceLimits: those are limits of `outer`, in which no process
/// lives. The kernel limits each user of a namespace by itself, but counts all of what is in one for its owner, in the
/// namespace above (inc_ucount() in kernel/ucount.c): so one namespace alone would give each of the box's users all of
/// it again.
///
/// Called by root. Like every change of uid it makes the whole process non-dumpable.
Result<UniqueFd> make_inner_namespace(const UniqueFd& outer, const std::string& map);

}  // namespace hutch::runtime
