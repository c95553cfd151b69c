#include "archives/tar_rules.h"

#include <limits.h>

namespace hutch::archives {

namespace {

enum class Whiteouts { kRefused, kNames };

Result<std::string> path_of(std::string_view name, Whiteouts whiteouts) {
    std::string path;
    for (size_t begin = 0; begin < name.size();) {
        const size_t end = std::min(name.find('/', begin), name.size());
        const std::string_view part = name.substr(begin, end - begin);
        begin = end + 1;
        if (part.empty() || part == ".") continue;
        if (part == "..") return invalid("an archive entry's name goes up: \"" + std::string(name) + "\"");
        if (whiteouts == Whiteouts::kRefused && part.starts_with(".wh."))
            return invalid("an archive entry is a whiteout: \"" + std::string(name) + "\"");
        if (part.find('\0') != std::string_view::npos) return invalid("an archive entry's name holds a NUL byte");
        if (part.size() > NAME_MAX) return invalid("an archive entry's name has a part longer than 255 bytes");
        if (!path.empty()) path += '/';
        path += part;
    }
    if (path.size() >= PATH_MAX) return invalid("an archive entry's name is longer than 4,095 bytes");
    return path;
}

}  // namespace

Result<std::string> tree_path(std::string_view name) {
    return path_of(name, Whiteouts::kRefused);
}

Result<std::string> copied_path(std::string_view name) {
    if (name.starts_with('/')) return invalid("an archive entry's name is absolute: \"" + std::string(name) + "\"");
    return path_of(name, Whiteouts::kNames);
}

XattrRule xattr_rule(std::string_view name) {
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) return XattrRule::kRefuse;
    if (name == "security.capability" || name.starts_with("user.")) return XattrRule::kKeep;
    return XattrRule::kDrop;
}

}  // namespace hutch::archives
