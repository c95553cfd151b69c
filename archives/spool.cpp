#include "archives/spool.h"

#include <archive.h>
#include <archive_entry.h>

#include "archives/input.h"
#include "archives/plain.h"
#include "archives/plain_locale.h"
#include "archives/tar_rules.h"
#include "base/file.h"

namespace hutch::archives {

namespace {

/// Where a symbolic link at `path` leads to, by its words alone; nothing where that is out of the archive.
std::optional<std::string> led_to(const std::string& path, const std::string& target) {
    if (target.starts_with('/')) return std::nullopt;
    std::string at = path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    for (size_t begin = 0; begin < target.size();) {
        const size_t end = std::min(target.find('/', begin), target.size());
        const std::string part = target.substr(begin, end - begin);
        begin = end + 1;
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            at += (at.empty() ? "" : "/") + part;
        } else if (at.empty()) {
            return std::nullopt;
        } else {
            at.resize(at.rfind('/') == std::string::npos ? 0 : at.rfind('/'));
        }
    }
    return at;
}

class Spooling {
  public:
    Spooling(Pull plain, int file, const TreeLimits& limits)
        : file_(file), limits_(limits), input_{std::move(plain)}, reader_(archive_read_new()) {}
    Result<Spooled> run();

  private:
    Result<void> entry(archive_entry* entry);
    Result<void> content(const std::string& path);
    Result<void> charge(uint64_t bytes, uint64_t name);
    [[nodiscard]] Error broken() { return broken_input(input_, reader_.get()); }

    const int file_;
    const TreeLimits limits_;
    PlainLocale locale_;
    Input input_;
    Reader reader_;
    Spooled found_;
    uint64_t entries_ = 0, names_ = 0, bytes_ = 0;
};

Result<void> Spooling::charge(uint64_t bytes, uint64_t name) {
    names_ += name;
    ++entries_;
    if (bytes <= limits_.bytes - bytes_ && entries_ <= limits_.entries && names_ <= limits_.names) {
        bytes_ += bytes;
        return {};
    }
    return Error{ErrorKind::kTooLarge, 0,
                 "the archive has more than " + std::to_string(limits_.entries) + " entries or " +
                     std::to_string(limits_.bytes) + " bytes"};
}

Result<void> Spooling::content(const std::string& path) {
    Member member{.offset = bytes_};
    for (;;) {
        const void* data = nullptr;
        size_t length = 0;
        int64_t offset = 0;
        const int got = archive_read_data_block(reader_.get(), &data, &length, &offset);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK) return broken();
        if (static_cast<uint64_t>(offset) != member.size) return invalid("it has holes");
        TRY(charge(length, 0));
        --entries_;
        TRY(write_all(file_, {static_cast<const char*>(data), length}));
        member.size += length;
    }
    found_.links.erase(path);
    found_.members[path] = member;
    return {};
}

Result<void> Spooling::entry(archive_entry* entry) {
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) return invalid("an entry has no name");
    const std::string path = TRY(tree_path(name));
    TRY(charge(0, path.size()));
    const char* hard = archive_entry_hardlink(entry);
    const char* soft = archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : nullptr;
    if (hard != nullptr || soft != nullptr) {
        const auto target = hard != nullptr ? std::optional(TRY(tree_path(hard))) : led_to(path, soft);
        found_.members.erase(path);
        if (target) found_.links[path] = *target;
        return charge(0, target ? target->size() : 0);
    }
    return archive_entry_filetype(entry) == AE_IFREG ? content(path) : Result<void>();
}

Result<Spooled> Spooling::run() {
    archive* reader = reader_.get();
    if (reader == nullptr) return errno_error("reading the archive", ENOMEM);
    if (archive_read_support_format_tar(reader) != ARCHIVE_OK ||
        archive_read_open(reader, &input_, nullptr, read_input, nullptr) != ARCHIVE_OK) {
        return broken();
    }
    for (;;) {
        archive_entry* header = nullptr;
        const int got = archive_read_next_header(reader, &header);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return broken();
        const char* name = archive_entry_pathname(header);
        TRY_IN("archive entry " + std::string(name != nullptr ? name : "?"), entry(header));
    }
    while (TRY(input_.pull(input_.buffer.data(), input_.buffer.size())) > 0) {
    }
    return std::move(found_);
}

}  // namespace

std::optional<Member> Spooled::find(const std::string& path) const {
    std::string at = path;
    for (int step = 0; step < 8; ++step) {
        if (const auto member = members.find(at); member != members.end()) return member->second;
        const auto link = links.find(at);
        if (link == links.end()) return std::nullopt;
        at = link->second;
    }
    return std::nullopt;
}

Result<Spooled> spool(const Pull& packed, int file, const TreeLimits& limits) {
    return Spooling(TRY(plain_from(packed)), file, limits).run();
}

}  // namespace hutch::archives
