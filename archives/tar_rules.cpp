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

Result<OciName> oci_name(std::string_view name) {
    constexpr std::string_view kMark = ".wh.";
    constexpr std::string_view kDrivers = ".wh..wh.";  // before kMark, with which it begins too
    std::string path = TRY(path_of(name, Whiteouts::kNames));
    const size_t last = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
    for (size_t begin = 0; begin < last; begin = path.find('/', begin) + 1) {
        const std::string_view part = std::string_view(path).substr(begin);
        if (part.starts_with(kDrivers)) return OciName{OciMark::kForeign, std::move(path)};
        if (part.starts_with(kMark)) {
            return invalid("an archive entry lies in a whiteout: \"" + std::string(name) + "\"");
        }
    }
    const std::string of = path.substr(last);
    if (!of.starts_with(kMark)) return OciName{OciMark::kEntry, std::move(path)};
    path.resize(last == 0 ? 0 : last - 1);
    if (of == ".wh..wh..opq") return OciName{OciMark::kOpaque, std::move(path)};
    if (of.starts_with(kDrivers)) return OciName{OciMark::kForeign, std::move(path)};
    const std::string hidden = of.substr(kMark.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
        return invalid("an archive entry is a whiteout of nothing: \"" + std::string(name) + "\"");
    }
    return OciName{OciMark::kWhiteout, path.empty() ? hidden : path + '/' + hidden};
}

XattrRule xattr_rule(std::string_view name) {
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) return XattrRule::kRefuse;
    if (name == "security.capability" || name.starts_with("user.")) return XattrRule::kKeep;
    return XattrRule::kDrop;
}

}  // namespace hutch::archives
