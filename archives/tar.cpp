#include "archives/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <vector>

#include "archives/plain_locale.h"
#include "archives/tar_rules.h"
#include "base/file.h"
#include "base/holes.h"

namespace hutch::archives {

Pull pull_from(int fd) {
    return [fd](char* buffer, size_t size) -> Result<size_t> {
        for (;;) {
            const ssize_t n = ::read(fd, buffer, size);
            if (n >= 0) return static_cast<size_t>(n);
            if (errno != EINTR) return errno_error("reading the archive");
        }
    };
}

namespace {

struct Input {
    const Pull& pull;
    std::vector<char> buffer = std::vector<char>(size_t{256} << 10);
    std::optional<Error> failure = std::nullopt;
};

la_ssize_t read_input(archive* reader, void* context, const void** data) {
    auto& input = *static_cast<Input*>(context);
    auto got = input.pull(input.buffer.data(), input.buffer.size());
    if (got.ok()) {
        *data = input.buffer.data();
        return static_cast<la_ssize_t>(got.value());
    }
    input.failure = std::move(got).error();
    archive_set_error(reader, EIO, "input failed");
    return ARCHIVE_FATAL;
}

/// Whether an entry that asks for that is to blame for it, and not this machine.
bool is_of_the_archive(int code) {
    switch (code) {
        case E2BIG:
        case EEXIST:
        case EINVAL:
        case EISDIR:
        case ELOOP:
        case EMLINK:
        case ENAMETOOLONG:
        case ENOENT:
        case ENOTDIR:
        case EOPNOTSUPP:
        case EOVERFLOW:
        case EPERM:
        case ERANGE:
        case EXDEV:
            return true;
        default:
            return false;
    }
}

mode_t file_mode_mask() {
    const mode_t mask = umask(0777);  // there is no other way to ask
    (void)umask(mask);
    return mask;
}

class Unpacking {
  public:
    enum class Kind { kLayer, kCopy };
    Unpacking(Kind kind, const Pull& pull, int root, std::string into, const TreeLimits& limits, Modes modes,
              Mounts mounts)
        : kind_(kind),
          mask_(modes == Modes::kNarrowed ? file_mode_mask() : 0),
          into_(std::move(into)),
          input_{pull},
          reader_(archive_read_new()),
          writer_(root, limits, mounts) {}
    Result<TarReport> run();

  private:
    Result<void> open();
    Result<void> all();
    Result<void> next(archive_entry* entry);
    Result<void> entry(archive_entry* entry);
    Result<std::string> path_of(const char* name) const;
    Result<Attributes> attributes_of(archive_entry* entry);
    Result<Attributes> layer_attributes(archive_entry* entry);
    Result<void> content(archive_entry* entry, const std::string& path, const Attributes& attributes);
    void leave_out(const char* name, const char* reason);
    [[nodiscard]] Error broken();

    const Kind kind_;
    const mode_t mask_;
    const std::string into_;

    PlainLocale locale_;  // libarchive asks for the charset as it goes, so it stays until the end
    Input input_;
    std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })> reader_;
    TreeWriter writer_;
    TarReport report_;
};

Error Unpacking::broken() {
    if (input_.failure) return *input_.failure;
    if (archive_errno(reader_.get()) == ENOMEM) {
        return {ErrorKind::kTooLarge, 0, "the archive takes more memory to unpack than there is for it"};
    }
    const char* words = archive_error_string(reader_.get());
    return invalid("the archive cannot be read: " + std::string(words != nullptr ? words : "unknown error"));
}

Result<void> Unpacking::open() {
    archive* reader = reader_.get();
    if (reader == nullptr) return errno_error("unpacking the archive", ENOMEM);
    const bool packed = kind_ == Kind::kLayer;
    if ((packed && (archive_read_support_filter_gzip(reader) != ARCHIVE_OK ||
                    archive_read_support_filter_xz(reader) != ARCHIVE_OK ||
                    archive_read_support_filter_zstd(reader) != ARCHIVE_OK)) ||
        archive_read_support_format_tar(reader) != ARCHIVE_OK ||
        archive_read_open(reader, &input_, nullptr, read_input, nullptr) != ARCHIVE_OK) {
        return broken();
    }
    return {};
}

Result<std::string> Unpacking::path_of(const char* name) const {
    if (name == nullptr) return invalid("an entry has no name");
    if (kind_ == Kind::kLayer) return tree_path(name);
    const std::string path = TRY(copied_path(name));
    return into_ + (into_.empty() || path.empty() ? "" : "/") + path;
}

Result<Attributes> Unpacking::attributes_of(archive_entry* entry) {
    if (kind_ == Kind::kLayer) return layer_attributes(entry);
    Attributes attributes;
    attributes.mode = archive_entry_perm(entry) & 0777 & ~mask_;
    attributes.mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    return attributes;
}

Result<Attributes> Unpacking::layer_attributes(archive_entry* entry) {
    Attributes attributes;
    const int64_t uid = archive_entry_uid(entry);
    const int64_t gid = archive_entry_gid(entry);
    if (uid < 0 || gid < 0 || uid >= kBoxIds || gid >= kBoxIds) {
        return invalid("owner " + std::to_string(uid) + ":" + std::to_string(gid) +
                       " is beyond the 65,536 ids of a box");
    }
    attributes.mode = archive_entry_perm(entry) & 07777;
    attributes.owner = Owner{static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
    attributes.mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        switch (xattr_rule(name)) {
            case XattrRule::kKeep:
                attributes.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
                break;
            case XattrRule::kDrop:
                ++report_.dropped_xattrs;
                break;
            case XattrRule::kRefuse:
                return invalid("attribute " + std::string(name) + " is overlayfs's own");
        }
    }
    return attributes;
}

Result<void> Unpacking::content(archive_entry* entry, const std::string& path, const Attributes& attributes) {
    const UniqueFd file = TRY(writer_.file(path));
    const int64_t size = archive_entry_size(entry);
    for (;;) {
        const void* data = nullptr;
        size_t length = 0;
        int64_t offset = 0;
        const int got = archive_read_data_block(reader_.get(), &data, &length, &offset);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK) return broken();
        if (offset < 0 || offset > size || length > static_cast<uint64_t>(size - offset)) {
            return invalid("the data is longer than its header says");
        }
        if (lseek(file.get(), offset, SEEK_SET) < 0) return errno_error("writing at " + std::to_string(offset));
        TRY(write_with_holes(file.get(), {static_cast<const char*>(data), length}));
    }
    if (ftruncate(file.get(), size) != 0) return errno_error("setting the length");  // a hole may be at the end
    return writer_.finish_file(path, file, attributes);
}

Result<void> Unpacking::entry(archive_entry* entry) {
    const char* name = archive_entry_pathname(entry);
    const std::string path = TRY(path_of(name));
    const int64_t size = archive_entry_size(entry);
    if (size < 0) return invalid("its length is negative");
    TRY(writer_.charge_bytes(static_cast<uint64_t>(size)));  // of links and devices too: it is all read
    const Attributes attributes = TRY(attributes_of(entry));
    if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
        return writer_.hard_link(path, TRY(path_of(target)));
    }
    switch (archive_entry_filetype(entry)) {
        case AE_IFDIR:
            return writer_.directory(path, attributes);
        case AE_IFREG:
            return content(entry, path, attributes);
        case AE_IFLNK: {
            const char* target = archive_entry_symlink(entry);
            return writer_.symlink(path, target != nullptr ? target : "", attributes);
        }
        case AE_IFCHR:
        case AE_IFBLK:
        case AE_IFIFO:
        case AE_IFSOCK:
            ++report_.skipped_nodes;
            leave_out(name, "is a device, a FIFO or a socket");
            return writer_.charge_entry();
        default:
            return invalid("it is of no known type");
    }
}

void Unpacking::leave_out(const char* name, const char* reason) {
    if (report_.first_left_out.empty()) report_.first_left_out = '"' + std::string(name) + "\" " + reason;
}

Result<void> Unpacking::next(archive_entry* header) {
    auto done = entry(header);
    if (done.ok() || input_.failure || !is_of_the_archive(done.error().code)) return done;
    if (kind_ == Kind::kCopy) {
        const bool in_the_way = done.error().code == EISDIR;
        const bool no_target = done.error().code == ENOENT && archive_entry_hardlink(header) != nullptr;
        if (in_the_way || no_target) {
            ++report_.blocked;
            leave_out(archive_entry_pathname(header),
                      in_the_way ? "is a directory here; remove that first" : "is another name of what is not copied");
            return {};
        }
    }
    if (done.error().code == ELOOP) return invalid("its name leads through a link");
    if (done.error().code == ENOTDIR) return invalid("its name leads through what is no directory");
    if (done.error().code == EXDEV) return invalid("its name leads to another file system, which is mounted there");
    done.error().kind = ErrorKind::kInvalid;
    return done;
}

Result<void> Unpacking::all() {
    for (;;) {
        archive_entry* header = nullptr;
        const int got = archive_read_next_header(reader_.get(), &header);
        if (got == ARCHIVE_EOF) return {};
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return broken();  // it warns of names it keeps as they are
        const char* name = archive_entry_pathname(header);
        TRY_IN("archive entry " + std::string(name != nullptr ? name : "?"), next(header));
    }
}

Result<TarReport> Unpacking::run() {
    TRY(open());
    const auto unpacked = all();
    const auto finished = writer_.finish();
    TRY(unpacked);
    TRY(finished);
    report_.entries = writer_.entries();
    report_.bytes = writer_.bytes();
    return report_;
}

}  // namespace

Result<TarReport> unpack_layer(const Pull& pull, int root, const TreeLimits& limits) {
    return Unpacking(Unpacking::Kind::kLayer, pull, root, "", limits, Modes::kWhole, Mounts::kEntered).run();
}

Result<TarReport> unpack_copy(const Pull& pull, int root, const std::string& into, Modes modes, Mounts mounts) {
    // The disk is the caller's to watch. Some of these go on at a time.
    constexpr TreeLimits kLimits{.bytes = UINT64_MAX, .entries = 20'000'000, .names = uint64_t{32} << 20};
    return Unpacking(Unpacking::Kind::kCopy, pull, root, into, kLimits, modes, mounts).run();
}

}  // namespace hutch::archives
