#include "daemon/run/journal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace hutch::daemon {
namespace {

constexpr size_t kPiece = 128 * 1024;          // taken at a time
constexpr uint64_t kPunchAt = 4 << 20;         // given back at a time
constexpr uint64_t kBlocks = ~uint64_t{4095};  // whole ones

// A terminal cannot be spliced: what is between the two calls is lost with the daemon.
ssize_t copy_piece(int source, int file, loff_t offset) {
    char buffer[32768];
    const ssize_t n = ::read(source, buffer, sizeof(buffer));
    if (n < 0 && errno == EIO) return 0;  // a terminal's way of saying that nobody has it open any more
    for (ssize_t done = 0; done < n;) {
        const ssize_t written = ::pwrite(file, buffer + done, static_cast<size_t>(n - done), offset + done);
        if (written < 0 && errno != EINTR) return done;
        if (written > 0) done += written;
    }
    return n;
}

ssize_t take_piece(int source, int file, loff_t offset) {
    const ssize_t n = splice(source, nullptr, file, &offset, kPiece, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    return n < 0 && errno == EINVAL ? copy_piece(source, file, offset) : n;
}

}  // namespace

Result<Journal> Journal::reopen(std::string path) {
    Journal journal(std::move(path));
    auto file = open_at(AT_FDCWD, journal.path_, O_RDWR);
    if (!file.ok() && file.error().code == ENOENT) return journal;
    journal.file_ = TRY(std::move(file));
    struct stat status {};
    if (fstat(journal.file_.get(), &status) != 0) return errno_error("reading " + journal.path_);
    journal.end_ = journal.file_end_ = static_cast<uint64_t>(status.st_size);
    const off_t data = lseek(journal.file_.get(), 0, SEEK_DATA);
    journal.begin_ = data < 0 ? journal.end_ : static_cast<uint64_t>(data);
    return journal;
}

std::optional<size_t> Journal::absorb(int source) {
    if (path_.empty()) in_memory_ = true;
    if (!in_memory_ && !file_) {
        pollfd ready{source, POLLIN, 0};
        if (poll(&ready, 1, 0) <= 0) return std::nullopt;
        if ((ready.revents & POLLIN) == 0) return 0;  // hung up, and nothing left to read
        auto file = open_at(AT_FDCWD, path_, O_RDWR | O_CREAT, 0600);
        if (file.ok()) file_ = std::move(file).value();
        in_memory_ = !file_;
    }
    return in_memory_ ? absorb_into_memory(source) : absorb_into_file(source);
}

std::optional<size_t> Journal::absorb_into_file(int source) {
    for (;;) {
        const ssize_t n = take_piece(source, file_.get(), static_cast<loff_t>(end_));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return std::nullopt;
        if (n < 0) {  // ENOSPC, EDQUOT, EIO, EFBIG: the disk's affair, not the command's
            in_memory_ = true;
            window_begin_ = end_;
            return absorb_into_memory(source);
        }
        end_ += static_cast<uint64_t>(n);
        file_end_ = end_;
        if (end_ - begin_ > kKept + kPunchAt) give_back();
        return static_cast<size_t>(n);
    }
}

std::optional<size_t> Journal::absorb_into_memory(int source) {
    char buffer[32768];
    for (;;) {
        const ssize_t n = ::read(source, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return std::nullopt;
        if (n <= 0) return 0;  // EIO: as above
        window_.append(buffer, static_cast<size_t>(n));
        end_ += static_cast<uint64_t>(n);
        if (window_.size() > 2 * kWindow) {
            window_begin_ += window_.size() - kWindow;
            window_.erase(0, window_.size() - kWindow);
            if (!file_) begin_ = window_begin_;
        }
        return static_cast<size_t>(n);
    }
}

void Journal::give_back() {
    const uint64_t begin = (end_ - kKept) & kBlocks;
    // Where the file system cannot, the file grows on, and is bounded by the disk; what may be read is the same.
    (void)fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(begin));
    begin_ = begin;
}

Result<std::string> Journal::read(uint64_t& offset, size_t limit) const {
    offset = std::max(offset, begin_);
    if (offset >= file_end_) {
        offset = std::max(offset, window_begin_);
        return window_.substr(offset - window_begin_, limit);
    }
    std::string piece(std::min<uint64_t>(limit, file_end_ - offset), '\0');
    const ssize_t n = ::pread(file_.get(), piece.data(), piece.size(), static_cast<off_t>(offset));
    if (n <= 0) return errno_error("reading " + path_, n < 0 ? errno : EIO);
    piece.resize(static_cast<size_t>(n));
    return piece;
}

}  // namespace hutch::daemon
