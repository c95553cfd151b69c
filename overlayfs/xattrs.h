#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace hutch::overlayfs {

/// Extended attributes by name: file capabilities and ACLs are among them.
using Xattrs = std::map<std::string, std::string>;

/// Those of the file `name` in `dir`, of a link itself where it is one. Needs /proc. None where the filesystem has
/// none.
Result<Xattrs> read_xattrs(int dir, const std::string& name);
Result<void> write_xattr(int dir, const std::string& name, const std::string& xattr, const std::string& value);

}  // namespace hutch::overlayfs
