#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace hutch::runtime {

using Filter = std::vector<sock_filter>;

/// The two programs of every box, compiled once.
struct Filters {
    Filter box;  ///< allow-list; installed by init in itself, so that every run inherits it for nothing
    /// Refusals only. clone3 answers ENOSYS (libc falls back to clone, whose flags can be judged), but init itself
    /// needs it; and faking terminal input EPERM.
    Filter run;
};

/// Unknown system calls answer ENOSYS, the known dangerous ones EPERM, foreign ABIs (i386, x32) ENOSYS, socket
/// families beyond INET, INET6, UNIX and NETLINK_ROUTE the errno a kernel without them gives.
Result<Filters> compile_filters();

}  // namespace hutch::runtime
