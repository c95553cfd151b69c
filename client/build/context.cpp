#include "client/build/context.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/syscalls.h"
#include "client/place.h"

namespace hutch::client {
namespace {

constexpr size_t kMostFound = 100'000;

/// Where an open file is, by the kernel's word.
Result<std::string> path_of(int fd) {
    std::string path(PATH_MAX, '\0');
    const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
    if (size < 0) return errno_error("looking for the path");
    path.resize(static_cast<size_t>(size));
    return path;
}

std::string parent_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// Beneath the root, "" being that itself.
Result<UniqueFd> open_dir(int root, const std::string& path) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY;
    return path.empty() ? open_at(root, ".", kFlags) : open_beneath(root, path, kFlags);
}

bool leads_out(const std::string& source) {
    int depth = 0;
    for (size_t at = 0; at < source.size();) {
        const size_t end = std::min(source.find('/', at), source.size());
        const std::string part = source.substr(at, end - at);
        if (part == "..") --depth;
        if (!part.empty() && part != "." && part != "..") ++depth;
        if (depth < 0) return true;
        at = end + 1;
    }
    return false;
}

Result<IgnoreList> read_ignored(const std::string& directory, const std::string& containerfile) {
    for (const std::string& name : {containerfile + ".dockerignore", join_path(directory, ".containerignore"),
                                    join_path(directory, ".dockerignore")}) {
        const auto text = read_file_at(AT_FDCWD, name);
        if (text.ok()) return IgnoreList::parse(name, text.value());
        if (text.error().code != ENOENT && text.error().code != ENOTDIR) return text.error();
    }
    return IgnoreList();
}

}  // namespace

Result<BuildContext> BuildContext::open(const std::string& directory, const std::string& containerfile) {
    BuildContext context;
    context.directory_ = directory;
    context.root_ = TRY(open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
    context.real_directory_ = TRY(path_of(context.root_.get()));
    context.ignored_ = TRY(read_ignored(directory, containerfile));
    return context;
}

// The kernel follows the links, from the context as its root; what is then opened goes by the path that it came to.
Result<BuildContext::Entry> BuildContext::entry_at(const std::string& path) const {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const UniqueFd found(sys_openat2(root_.get(), path.empty() ? "." : path.c_str(), how));
    if (!found) return errno_error("looking for \"" + path + "\" in " + directory_);
    struct stat status {};
    if (fstat(found.get(), &status) != 0) return errno_error("looking at \"" + path + "\"");
    const std::string real = TRY(path_of(found.get()));
    const std::string root = real_directory_ == "/" ? "" : real_directory_;
    if (real != real_directory_ && !real.starts_with(root + "/")) {
        return invalid("\"" + path + "\" leads out of " + directory_);
    }
    Entry entry{.path = path, .real = real.substr(std::min(root.size() + 1, real.size()))};
    entry.directory = S_ISDIR(status.st_mode);
    if (!entry.directory && !S_ISREG(status.st_mode)) {
        return invalid("\"" + path + "\" is a device, a FIFO or a socket, which no image has");
    }
    return entry;
}

Result<std::vector<std::string>> BuildContext::names_at(const std::string& path) const {
    const Entry entry = TRY(entry_at(path));
    if (!entry.directory) return Error{ErrorKind::kNotFound, ENOTDIR, path + " is no directory"};
    const UniqueFd directory = TRY(open_dir(root_.get(), entry.real));
    return names_in(directory.get());
}

Result<std::vector<BuildContext::Entry>> BuildContext::find(const std::string& source) const {
    if (leads_out(source)) {
        return invalid("\"" + source + "\" leads out of " + directory_ +
                       ", the directory of the build; name one above it");
    }
    const std::string wanted = lexical_path(source.starts_with('/') ? source.substr(1) : source);
    const auto list = [this](const std::string& path) { return names_at(path); };
    std::vector<Entry> entries;
    for (const std::string& path : TRY(fitting_paths(wanted, list))) {
        auto entry = entry_at(path);
        if (!entry.ok() && entry.error().code != ENOENT && entry.error().code != ENOTDIR) return entry.error();
        if (!entry.ok()) continue;
        const bool in_parts = entry.value().directory && ignored_.takes_back();
        if (!path.empty() && ignored_.leaves_out(path) && !in_parts) continue;
        entries.push_back(std::move(entry).value());
    }
    if (!entries.empty()) return entries;
    return Error{ErrorKind::kNotFound, 0,
                 "\"" + source + "\" is not in " + directory_ + ", or its .dockerignore leaves it out"};
}

Result<archives::Pack> BuildContext::pack(const Entry& entry, const std::string& name, bool times) const {
    using Take = archives::PackRules::Take;
    archives::PackRules rules;
    rules.times = times;
    const std::string above = entry.path.empty() ? "" : entry.path + "/";
    rules.take = [this, above](const std::string& entry_name) {
        const bool out = ignored_.leaves_out(above + entry_name.substr(2));  // after "./"
        if (!out) return Take::kYes;
        return ignored_.takes_back() ? Take::kBeneath : Take::kNo;
    };
    if (entry.directory) {
        const UniqueFd directory = TRY(open_dir(root_.get(), entry.real));
        return archives::Pack::open(directory.get(), "", ".", std::move(rules));
    }
    const UniqueFd parent = TRY(open_dir(root_.get(), parent_of(entry.real)));
    return archives::Pack::open(parent.get(), base_name(entry.real), name, std::move(rules));
}

Result<void> BuildContext::add_to(Digest& digest, const Entry& entry) const {
    archives::Pack packed = TRY(pack(entry, "file", false));
    for (;;) {
        const std::string_view piece = TRY(packed.next());
        if (piece.empty()) break;
        digest.add_piece(piece);
    }
    digest.end_part();
    return {};
}

Result<UniqueFd> BuildContext::open_file(const Entry& entry) const {
    return open_beneath(root_.get(), entry.real, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

Result<std::vector<std::string>> fitting_paths(const std::string& pattern, const ListNames& names_in) {
    std::vector<std::string> found{pattern.starts_with('/') ? "/" : ""};
    for (size_t at = pattern.starts_with('/') ? 1 : 0; at < pattern.size();) {
        const size_t end = std::min(pattern.find('/', at), pattern.size());
        const std::string part = pattern.substr(at, end - at);
        at = end + 1;
        std::vector<std::string> next;
        for (const std::string& path : found) {
            if (!is_pattern(part)) {
                next.push_back(join_path(path, part));
                continue;
            }
            auto names = names_in(path);
            if (!names.ok()) continue;
            std::sort(names.value().begin(), names.value().end());
            for (const std::string& name : names.value()) {
                if (fits_pattern(part, name)) next.push_back(join_path(path, name));
                if (next.size() > kMostFound) return invalid("\"" + pattern + "\" fits more than 100,000 files");
            }
        }
        found = std::move(next);
    }
    return found;
}

BodySource pack_source(archives::Pack pack) {
    const auto held = std::make_shared<archives::Pack>(std::move(pack));
    return [held] { return held->next(); };
}

}  // namespace hutch::client
