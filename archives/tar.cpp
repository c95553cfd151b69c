#include "archives/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archives/input.h"
#include "archives/oci_layer.h"
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
    enum class Kind { kLayer, kCopy, kOci };
    /// `marks`: of kOci.
    Unpacking(Kind kind, const Pull& pull, TreeWriter& writer, std::string into, Modes modes, OciMarks* marks = nullptr,
              const std::optional<Ownership>& ownership = {})
        : kind_(kind),
          ownership_(ownership),
          mask_(modes == Modes::kNarrowed ? file_mode_mask() : 0),
          into_(std::move(into)),
          marks_(marks),
          input_{pull},
          reader_(archive_read_new()),
          writer_(writer) {}
    Result<TarReport> run();

  private:
    Result<void> open();
    Result<void> all();
    Result<void> next(archive_entry* entry);
    Result<void> entry(archive_entry* entry);
    Result<std::string> path_of(const char* name) const;
    Result<Attributes> attributes_of(archive_entry* entry);
    Result<Attributes> layer_attributes(archive_entry* entry);
    Result<void> mark(const OciName& name);
    Result<void> link(const std::string& path, const std::string& target);
    static Result<Owner> owner_of(archive_entry* entry);
    Result<void> content(archive_entry* entry, const std::string& path, const Attributes& attributes);
    void leave_out(const char* name, const char* reason);
    [[nodiscard]] Error broken() { return broken_input(input_, reader_.get()); }

    const Kind kind_;
    const std::optional<Ownership> ownership_;
    const mode_t mask_;
    const std::string into_;
    OciMarks* const marks_;

    PlainLocale locale_;  // libarchive asks for the charset as it goes, so it stays until the end
    Input input_;
    Reader reader_;
    TreeWriter& writer_;
    TarReport report_;
};

Result<void> Unpacking::open() {
    archive* reader = reader_.get();
    if (reader == nullptr) return errno_error("unpacking the archive", ENOMEM);
    const bool packed = kind_ == Kind::kLayer;
    if ((packed && (archive_read_support_filter_gzip(reader) != ARCHIVE_OK ||
                    archive_read_support_filter_xz(reader) != ARCHIVE_OK ||
                    archive_read_support_filter_zstd(reader) != ARCHIVE_OK)) ||
        (kind_ == Kind::kOci && archive_read_support_format_empty(reader) != ARCHIVE_OK) ||
        archive_read_support_format_tar(reader) != ARCHIVE_OK ||
        archive_read_open(reader, &input_, nullptr, read_input, nullptr) != ARCHIVE_OK) {
        return broken();
    }
    return {};
}

Result<std::string> Unpacking::path_of(const char* name) const {
    if (name == nullptr) return invalid("an entry has no name");
    if (kind_ == Kind::kLayer) return tree_path(name);
    if (kind_ == Kind::kOci) {
        OciName plain = TRY(oci_name(name));
        if (plain.mark == OciMark::kEntry) return std::move(plain.path);
        return invalid("a whiteout is no file: \"" + std::string(name) + "\"");
    }
    const std::string path = TRY(copied_path(name));
    return into_ + (into_.empty() || path.empty() ? "" : "/") + path;
}

Result<Attributes> Unpacking::attributes_of(archive_entry* entry) {
    if (kind_ != Kind::kCopy) return layer_attributes(entry);
    Attributes attributes;
    attributes.mode = archive_entry_perm(entry) & 0777 & ~mask_;
    attributes.mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    if (!ownership_) return attributes;
    attributes.mode = ownership_->mode.value_or(archive_entry_perm(entry) & 07777);
    const Owner owner = ownership_->owner ? *ownership_->owner : TRY(owner_of(entry));
    attributes.owner = Owner{ownership_->base + owner.uid, ownership_->base + owner.gid};
    return attributes;
}

Result<Owner> Unpacking::owner_of(archive_entry* entry) {
    const int64_t uid = archive_entry_uid(entry);
    const int64_t gid = archive_entry_gid(entry);
    if (uid < 0 || gid < 0 || uid >= kBoxIds || gid >= kBoxIds) {
        return invalid("owner " + std::to_string(uid) + ":" + std::to_string(gid) +
                       " is beyond the 65,536 ids of a box");
    }
    return Owner{static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
}

Result<Attributes> Unpacking::layer_attributes(archive_entry* entry) {
    Attributes attributes;
    attributes.mode = archive_entry_perm(entry) & 07777;
    attributes.owner = TRY(owner_of(entry));
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

Result<void> Unpacking::mark(const OciName& name) {
    if (name.mark == OciMark::kForeign) return writer_.charge_entry();
    TRY(writer_.charge_entry());
    TRY(writer_.charge_name(name.path));
    if (name.mark == OciMark::kWhiteout) {
        marks_->gone.insert(name.path);
        return {};
    }
    TRY(writer_.imply(name.path));
    marks_->opaque.insert(name.path);
    return {};
}

Result<void> Unpacking::link(const std::string& path, const std::string& target) {
    auto made = writer_.hard_link(path, target);
    const int code = made.ok() ? 0 : made.error().code;
    if (kind_ != Kind::kOci || (code != ENOENT && code != ENOTDIR && code != ELOOP)) return made;
    TRY(writer_.clear(path));
    TRY(writer_.charge_name(path + target));
    marks_->links.push_back({path, target});
    return {};
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
    const int64_t size = archive_entry_size(entry);
    if (size < 0) return invalid("its length is negative");
    TRY(writer_.charge_bytes(static_cast<uint64_t>(size)));  // of links and devices too: it is all read
    if (kind_ == Kind::kOci && name != nullptr) {
        const OciName meant = TRY(oci_name(name));
        if (meant.mark != OciMark::kEntry) return mark(meant);
    }
    const std::string path = TRY(path_of(name));
    const Attributes attributes = TRY(attributes_of(entry));
    if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
        return link(path, TRY(path_of(target)));
    }
    switch (archive_entry_filetype(entry)) {
        case AE_IFDIR:
            return writer_.directory(path, attributes, ownership_ ? Existing::kKept : Existing::kTaken);
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
    const auto finished = kind_ == Kind::kOci ? Result<void>() : writer_.finish();
    TRY(unpacked);
    TRY(finished);
    report_.entries = writer_.entries();
    report_.bytes = writer_.bytes();
    return report_;
}

}  // namespace

Result<TarReport> unpack_layer(const Pull& pull, int root, const TreeLimits& limits) {
    TreeWriter tree(root, limits);
    return Unpacking(Unpacking::Kind::kLayer, pull, tree, "", Modes::kWhole).run();
}

Result<TarReport> unpack_oci_layer(const Pull& plain, TreeWriter& tree, OciMarks& marks) {
    return Unpacking(Unpacking::Kind::kOci, plain, tree, "", Modes::kWhole, &marks).run();
}

Result<TarReport> unpack_copy(const Pull& pull, int root, const std::string& into, Modes modes, Mounts mounts,
                              const std::optional<Ownership>& ownership) {
    // The disk is the caller's to watch. Some of these go on at a time.
    constexpr TreeLimits kLimits{.bytes = UINT64_MAX, .entries = 20'000'000, .names = uint64_t{32} << 20};
    TreeWriter tree(root, kLimits, mounts);
    return Unpacking(Unpacking::Kind::kCopy, pull, tree, into, modes, nullptr, ownership).run();
}

}  // namespace hutch::archives
