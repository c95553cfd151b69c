#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::archives {

/// How many ids a box has: owners in a layer are 0..65535.
constexpr int64_t kBoxIds = 65536;

/// An archive's name for a file as a path below the tree's root: no leading or double '/', no "."; "" is the root
/// itself. kInvalid for "..", for whiteouts (".wh."), and for what no Linux path can be.
Result<std::string> tree_path(std::string_view name);
/// The same of an archive that a box made of its files: kInvalid for absolute names, too, and ".wh." is a name like any
/// other.
Result<std::string> copied_path(std::string_view name);

/// What an entry of an OCI layer stands for (image-spec, layer.md).
enum class OciMark {
    kEntry,     ///< itself
    kWhiteout,  ///< that nothing of the layers below is at `path`
    kOpaque,    ///< that nothing of the layers below is in the directory `path`
    kForeign,   ///< what storage drivers wrote for themselves (".wh..wh.plnk"): nothing
};
struct OciName {
    OciMark mark;
    std::string path;
};
/// As tree_path(), but that whiteouts are told apart. kInvalid for what lies in one, or names nothing.
Result<OciName> oci_name(std::string_view name);

enum class XattrRule { kKeep, kDrop, kRefuse };
/// security.capability and user.* mean something in a box. What overlayfs itself reads (trusted.overlay.*,
/// user.overlay.*) would let an archive redirect or hide files; no honest one has it. The rest is the other host's.
XattrRule xattr_rule(std::string_view name);

}  // namespace hutch::archives
