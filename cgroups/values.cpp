#include "cgroups/values.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <memory>

#include "base/file.h"
#include "cgroups/names.h"

namespace hutch::cgroups {
namespace {

std::optional<uint64_t> leading_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || (end != text.data() + text.size() && *end != '\n')) return std::nullopt;
    return value;
}

}  // namespace

std::optional<uint64_t> find_value(std::string_view flat_keyed, std::string_view key) {
    while (!flat_keyed.empty()) {
        const size_t end = flat_keyed.find('\n');
        const std::string_view line = flat_keyed.substr(0, end);
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
            return leading_number(line.substr(key.size() + 1));
        }
        flat_keyed.remove_prefix(end == std::string_view::npos ? flat_keyed.size() : end + 1);
    }
    return std::nullopt;
}

Result<uint64_t> read_number_at(int dir, const std::string& path) {
    const std::optional<uint64_t> value = leading_number(TRY(read_file_at(dir, path)));
    if (!value) return errno_error("reading the number in " + path, EPROTO);
    return *value;
}

Result<uint64_t> read_value_at(int dir, const std::string& path, std::string_view key) {
    const std::optional<uint64_t> value = find_value(TRY(read_file_at(dir, path)), key);
    if (!value) return errno_error("reading " + std::string(key) + " in " + path, EPROTO);
    return *value;
}

Result<uint64_t> read_cpu_ns(int group) {
    return TRY(read_value_at(group, kCpuStat, kUsageUsec)) * 1000;
}

Result<std::vector<std::string>> list_groups(int dir, const std::string& name) {
    auto opened = open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    std::vector<std::string> names;
    if (!opened.ok() && opened.error().code == ENOENT) return names;
    UniqueFd fd = TRY(std::move(opened));
    const std::unique_ptr<DIR, decltype([](DIR* d) { closedir(d); })> listing(fdopendir(fd.get()));
    if (!listing) return errno_error("listing " + name);
    (void)fd.release();  // closedir owns it now
    while (const dirent* entry = readdir(listing.get())) {
        const std::string child = entry->d_name;
        if (entry->d_type == DT_DIR && child != "." && child != "..") names.push_back(child);
    }
    return names;
}

Result<void> remove_group_at(int dir, const std::string& name) {
    if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    return errno_error("removing group " + name);
}

}  // namespace hutch::cgroups
