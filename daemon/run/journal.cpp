#include "daemon/run/journal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace hutch::daemon {
namespace {

constexpr uint64_t kBlocks = ~uint64_t{4095};  // whole ones

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

std::optional<size_t> Journal::absorb(int source, size_t limit) {
    if (path_.empty()) in_memory_ = true;
    if (!in_memory_ && !file_) {
        pollfd ready{source, POLLIN, 0};
        if (poll(&ready, 1, 0) <= 0) return std::nullopt;
        if ((ready.revents & POLLIN) == 0) return 0;  // hung up, and nothing left to read
        auto file = open_at(AT_FDCWD, path_, O_RDWR | O_CREAT, 0600);
        if (file.ok()) file_ = std::move(file).value();
        in_memory_ = !file_;
    }
    return in_memory_ ? copy_piece(source, limit) : splice_into_file(source, limit);
}

std::optional<size_t> Journal::splice_into_file(int source, size_t limit) {
    for (;;) {
        auto offset = static_cast<loff_t>(end_);
        const ssize_t n = splice(source, nullptr, file_.get(), &offset, limit, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return std::nullopt;
        if (n < 0) {  // a terminal cannot be spliced (EINVAL); else the disk's affair, not the command's
            if (errno != EINVAL) go_into_memory();
            return copy_piece(source, limit);
        }
        end_ += static_cast<uint64_t>(n);
        file_end_ = end_;
        return static_cast<size_t>(n);
    }
}

// What is between the two calls is lost with a daemon that is killed there.
std::optional<size_t> Journal::copy_piece(int source, size_t limit) {
    char buffer[32768];
    for (;;) {
        const ssize_t n = ::read(source, buffer, std::min(limit, sizeof(buffer)));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return std::nullopt;
        if (n <= 0) return 0;  // EIO: a terminal's way of saying that nobody has it open any more
        const std::string_view piece(buffer, static_cast<size_t>(n));
        const size_t written = in_memory_ ? 0 : write_to_file(piece);
        if (written < piece.size()) remember(piece.substr(written));
        return piece.size();
    }
}

// How much of it went in; less than all only when the disk takes no more.
size_t Journal::write_to_file(std::string_view piece) {
    size_t done = 0;
    while (done < piece.size()) {
        const ssize_t n = ::pwrite(file_.get(), piece.data() + done, piece.size() - done, static_cast<off_t>(end_));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            go_into_memory();
            return done;
        }
        done += static_cast<size_t>(n);
        end_ += static_cast<uint64_t>(n);
        file_end_ = end_;
    }
    return done;
}

void Journal::go_into_memory() {
    in_memory_ = true;
    window_begin_ = end_;
}

void Journal::remember(std::string_view piece) {
    window_ += piece;
    end_ += piece.size();
    if (window_.size() > 2 * kWindow) forget_before(end_ - kWindow);
}

// Of the window. Of a file, what is before the gap is given up: an offset must not lead into it.
void Journal::forget_before(uint64_t offset) {
    window_.erase(0, offset - window_begin_);
    if (window_.capacity() > 4 * window_.size()) window_.shrink_to_fit();
    begin_ = window_begin_ = offset;
}

void Journal::fit(uint64_t room, uint64_t unread) {
    if ((!file_ && !in_memory_) || end_ - begin_ <= room + room / 4) return;
    const uint64_t last = std::min(end_ - room, unread);
    if (in_memory_ && last > window_begin_) return forget_before(last);
    const uint64_t begin = last & kBlocks;
    if (begin <= begin_) return;
    // Where the file system cannot, the file grows on, and is bounded by the disk; what may be read is the same.
    (void)fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(begin));
    begin_ = begin;
}

Result<std::string> Journal::read(uint64_t offset, size_t limit) const {
    if (offset >= file_end_) return window_.substr(offset - window_begin_, limit);
    std::string piece(std::min<uint64_t>(limit, file_end_ - offset), '\0');
    const ssize_t n = ::pread(file_.get(), piece.data(), piece.size(), static_cast<off_t>(offset));
    if (n <= 0) return errno_error("reading " + path_, n < 0 ? errno : EIO);
    piece.resize(static_cast<size_t>(n));
    return piece;
}

}  // namespace hutch::daemon
