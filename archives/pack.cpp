#include "archives/pack.h"
#include "archives/given_up.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "archives/plain_locale.h"
#include "base/file.h"

namespace hutch::archives {
namespace {

constexpr size_t kPiece = size_t{256} << 10;
constexpr size_t kMostExtents = 4096;  // of one file; one with more is packed without its holes

la_ssize_t append(archive* /*unused*/, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
}

/// A directory that is being walked.
struct Level {
    UniqueFd dir;
    std::string name;  ///< in the archive
    std::vector<std::string> entries;
    size_t at = 0;
};

struct Free {
    void operator()(archive* a) const { free_writer(a); }
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

bool is_gone(int code) {
    return code == ENOENT || code == ELOOP || code == ENXIO;  // or another thing by now
}

}  // namespace

struct Pack::State {
    PackRules rules;
    std::string out;
    std::unique_ptr<archive, Free> writer{archive_write_new()};
    std::unique_ptr<archive_entry, Free> entry{archive_entry_new()};
    std::vector<Level> levels;
    UniqueFd file;  ///< whose content is under way,
    std::string file_name;
    uint64_t rest = 0;  ///< and so much of it is to come
    std::map<std::pair<dev_t, ino_t>, std::string> linked;
    std::vector<char> buffer = std::vector<char>(kPiece);
    uint64_t left_out = 0;
    std::string first_left_out;
    bool ended = false;

    Result<void> open();
    Result<void> step();
    Result<void> add(int dir, const std::string& path, const std::string& name);
    Result<void> add_file(int dir, const std::string& path, const std::string& name);
    Result<void> add_holes(const struct stat& status);
    Result<void> write_header(const std::string& name);
    Result<void> write_content();
    void describe(const struct stat& status, const std::string& name);
    [[nodiscard]] Error failure() const;
};

Error Pack::State::failure() const {
    const char* words = archive_error_string(writer.get());
    return {ErrorKind::kSystem, 0, "making an archive: " + std::string(words != nullptr ? words : "unknown error")};
}

Result<void> Pack::State::open() {
    if (!writer || !entry) return errno_error("making an archive", ENOMEM);
    if (archive_write_set_format_pax(writer.get()) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(writer.get(), 1) != ARCHIVE_OK ||
        archive_write_open(writer.get(), &out, nullptr, append, nullptr) != ARCHIVE_OK) {
        return failure();
    }
    return {};
}

void Pack::State::describe(const struct stat& status, const std::string& name) {
    archive_entry_clear(entry.get());
    archive_entry_copy_pathname(entry.get(), name.c_str());
    archive_entry_set_mode(entry.get(), status.st_mode);
    if (rules.times) {
        archive_entry_set_mtime(entry.get(), status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    } else {
        archive_entry_set_mtime(entry.get(), 0, 0);
    }
    if (S_ISREG(status.st_mode)) archive_entry_set_size(entry.get(), status.st_size);
}

Result<void> Pack::State::write_header(const std::string& name) {
    // A warning is a name that is no UTF-8: pax says "binary" of it, and keeps its bytes.
    if (archive_write_header(writer.get(), entry.get()) >= ARCHIVE_WARN) return {};
    return Error(failure()).in(name);
}

Result<void> Pack::State::add_holes(const struct stat& status) {
    if (status.st_blocks * 512 >= status.st_size) return {};
    std::vector<std::pair<off_t, off_t>> extents;
    for (off_t at = 0; at < status.st_size;) {
        const off_t data = lseek(file.get(), at, SEEK_DATA);
        if (data < 0) break;  // ENXIO: all the rest is a hole; else this file system does not tell
        const off_t hole = lseek(file.get(), data, SEEK_HOLE);
        if (hole < 0 || extents.size() >= kMostExtents) return {};
        extents.emplace_back(data, std::min(hole, status.st_size) - data);
        at = hole;
    }
    if (extents.empty()) extents.emplace_back(status.st_size, 0);
    for (const auto& [offset, length] : extents) archive_entry_sparse_add_entry(entry.get(), offset, length);
    if (lseek(file.get(), 0, SEEK_SET) < 0) return errno_error("reading from the beginning");
    return {};
}

Result<void> Pack::State::add_file(int dir, const std::string& path, const std::string& name) {
    struct stat status {};
    file = TRY(open_at(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    if (fstat(file.get(), &status) != 0) return errno_error("looking");
    if (!S_ISREG(status.st_mode)) return errno_error("opening", ENOENT);
    describe(status, name);
    if (status.st_nlink > 1) {
        const auto [first, fresh] = linked.emplace(std::pair(status.st_dev, status.st_ino), name);
        if (!fresh) {
            archive_entry_copy_hardlink(entry.get(), first->second.c_str());
            archive_entry_unset_size(entry.get());
            file.reset();
            return write_header(name);
        }
    }
    TRY(add_holes(status));
    TRY(write_header(name));
    file_name = name;
    rest = static_cast<uint64_t>(status.st_size);
    return {};
}

Result<void> Pack::State::add(int dir, const std::string& path, const std::string& name) {
    using Take = PackRules::Take;
    const Take take = rules.take && !levels.empty() ? rules.take(name) : Take::kYes;
    if (take == Take::kNo) return {};
    struct stat status {};
    const bool itself = path.empty();
    if (fstatat(dir, path.c_str(), &status, itself ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("looking");
    }
    if (take == Take::kBeneath && !S_ISDIR(status.st_mode)) return {};
    if (S_ISREG(status.st_mode)) return add_file(dir, path, name);
    if (!S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode)) {
        if (left_out++ == 0) first_left_out = '"' + name + "\" is a device, a FIFO or a socket";
        return {};
    }
    describe(status, name);
    if (S_ISDIR(status.st_mode)) {
        UniqueFd opened = TRY(open_at(dir, itself ? "." : path, O_RDONLY | O_DIRECTORY | (itself ? 0 : O_NOFOLLOW)));
        std::vector<std::string> entries = TRY(names_in(opened.get()));
        std::sort(entries.begin(), entries.end());
        if (take == Take::kYes) TRY(write_header(name));
        levels.push_back({std::move(opened), name, std::move(entries)});
        return {};
    }
    std::string target(PATH_MAX, '\0');
    const ssize_t size = readlinkat(dir, path.c_str(), target.data(), target.size());
    if (size < 0) return errno_error("reading the link");
    target.resize(static_cast<size_t>(size));
    archive_entry_copy_symlink(entry.get(), target.c_str());
    return write_header(name);
}

Result<void> Pack::State::write_content() {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), rest));
    const ssize_t got = ::read(file.get(), buffer.data(), wanted);
    if (got < 0 && errno == EINTR) return {};
    if (got < 0) return errno_error("reading " + file_name);
    const size_t size = got > 0 ? static_cast<size_t>(got) : wanted;
    if (got == 0) std::fill_n(buffer.begin(), size, '\0');
    if (archive_write_data(writer.get(), buffer.data(), size) < 0) return failure();
    rest -= size;
    return {};
}

// One entry, or one piece of a file.
Result<void> Pack::State::step() {
    if (file && rest > 0) return write_content();
    file.reset();
    if (levels.empty()) {
        ended = true;
        if (archive_write_close(writer.get()) != ARCHIVE_OK) return failure();
        return {};
    }
    Level& level = levels.back();
    if (level.at == level.entries.size()) {
        levels.pop_back();
        return {};
    }
    const std::string entry_name = level.entries[level.at++];
    const std::string name = level.name + "/" + entry_name;
    auto added = add(level.dir.get(), entry_name, name);
    if (!added.ok() && !is_gone(added.error().code)) return std::move(added).error().in(name);
    return {};
}

Pack::Pack(std::unique_ptr<State> state) : state_(std::move(state)) {}
Pack::Pack(Pack&&) noexcept = default;
Pack& Pack::operator=(Pack&&) noexcept = default;
Pack::~Pack() = default;

Result<Pack> Pack::open(int dir, const std::string& path, const std::string& name, PackRules rules) {
    const PlainLocale locale;
    auto state = std::make_unique<State>();
    state->rules = std::move(rules);
    TRY(state->open());
    TRY_IN(name, state->add(dir, path, name));
    return Pack(std::move(state));
}

Result<std::string_view> Pack::next() {
    const PlainLocale locale;
    state_->out.clear();
    while (state_->out.size() < kPiece && !state_->ended) TRY(state_->step());
    return std::string_view(state_->out);
}

uint64_t Pack::left_out() const {
    return state_->left_out;
}

const std::string& Pack::first_left_out() const {
    return state_->first_left_out;
}

}  // namespace hutch::archives
