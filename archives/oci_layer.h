#pragma once

#include <set>
#include <string>
#include <vector>

#include "archives/tar.h"
#include "archives/tree_writer.h"

namespace hutch::archives {

/// What a layer of an OCI image says of those below it, by paths of the tree.
struct OciMarks {
    std::set<std::string, TreeOrder> gone;    ///< what is there no more; or is this layer's own, if it has it too
    std::set<std::string, TreeOrder> opaque;  ///< directories that show nothing of what is below
    struct Link {
        std::string path, target;
    };
    std::vector<Link> links;  ///< to what this layer had not got by then, in their order
};

/// Unpacks a layer of an OCI image, a plain tar archive, as unpack_layer() does, but that what is no directory and on
/// the way to an entry gives way, and that whiteouts and links to files of other layers come into `marks`, whatever
/// their order, for who knows the layers below. So that one may still write into the directories, the caller finishes
/// `tree`, which replaces what is in the way.
Result<TarReport> unpack_oci_layer(const Pull& plain, TreeWriter& tree, OciMarks& marks);

}  // namespace hutch::archives
