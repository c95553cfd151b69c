#pragma once

#include <string>
#include <string_view>

namespace hutch::client {

/// One side of a copy: a path of this machine, or one in a box, written BOX:PATH.
struct Place {
    std::string box;  ///< empty: this machine
    std::string path;
    [[nodiscard]] bool in_box() const { return !box.empty(); }
};

/// A colon before any slash makes it a box's; `./a:b` is a local file of that name.
Place parse_place(std::string_view text);
/// The last component, "" for "/", "." and "..": what a copy into a directory is called there.
std::string base_name(std::string_view path);
/// `directory` + "/" + `name`, without a doubled slash; `name` alone where the directory is "".
std::string join_path(std::string_view directory, std::string_view name);

}  // namespace hutch::client
