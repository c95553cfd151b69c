#include "cgroups/mounts.h"

#include <algorithm>
#include <optional>

namespace hutch::cgroups {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

// The kernel writes space, tab, newline and backslash in a path as three octal digits (seq_path(), mangle_path()).
std::string unescape(std::string_view field) {
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string path;
    for (size_t i = 0; i < field.size(); ++i) {
        if (field[i] == '\\' && i + 3 < field.size() && octal(field[i + 1]) && octal(field[i + 2]) &&
            octal(field[i + 3])) {
            path += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
            i += 3;
        } else {
            path += field[i];
        }
    }
    return path;
}

// id parent major:minor root path options [tag[:value]...] - type source superoptions
std::optional<Mount> parse_line(std::string_view line) {
    constexpr size_t kRoot = 3;
    constexpr size_t kPath = 4;
    constexpr size_t kFirstTag = 6;
    const std::vector<std::string_view> fields = split(line, ' ');
    if (fields.size() < kFirstTag) return std::nullopt;
    const auto dash = std::find(fields.begin() + kFirstTag, fields.end(), "-");
    if (fields.end() - dash < 4) return std::nullopt;
    const std::string_view type = dash[1];
    if (type != "cgroup" && type != "cgroup2") return std::nullopt;
    Mount mount{unescape(fields[kPath]), type == "cgroup2", fields[kRoot] == "/", {}};
    for (const std::string_view option : split(dash[3], ',')) mount.options.emplace_back(option);
    return mount;
}

}  // namespace

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    for (const std::string_view line : split(mountinfo, '\n')) {
        if (auto mount = parse_line(line)) mounts.push_back(std::move(*mount));
    }
    std::stable_partition(mounts.begin(), mounts.end(), [](const Mount& mount) { return mount.whole; });
    return mounts;
}

}  // namespace hutch::cgroups
