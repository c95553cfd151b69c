#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"
#include "runtime/nesting.h"

namespace hutch::runtime {

using Filter = std::vector<sock_filter>;

/// The two programs of a box, compiled once for all.
struct Filters {
    Filter box;  ///< allow-list; installed by init in itself, so that every run inherits it for nothing
    /// Refusals only. clone3 answers ENOSYS (libc falls back to clone, whose flags can be judged), and unshare of
    /// control groups EPERM, but init itself needs them; and faking terminal input EPERM.
    Filter run;
};

/// Unknown system calls answer ENOSYS, the known dangerous ones EPERM, foreign ABIs (i386, x32) ENOSYS, socket
/// families beyond INET, INET6, UNIX and NETLINK_ROUTE the errno a kernel without them gives.
///
/// With nesting, what makes and changes namespaces and mounts is left to the kernel, which allows it only in a user
/// namespace of the box's own making; and what root of one could do there and nobody else is refused instead: raw
/// sockets, the firewall and IPsec by socket options.
Result<Filters> compile_filters(Nesting nesting);

}  // namespace hutch::runtime
