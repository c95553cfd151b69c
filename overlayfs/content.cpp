#include "overlayfs/content.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace hutch::overlayfs {

namespace {

constexpr size_t kStep = size_t{16} << 20;  // one call's work: how long a stop may take to be heard
constexpr size_t kCompared = size_t{256} << 10;

/// Where data begins at or after `offset`; `size` if nowhere. Filesystems without holes say that all is data.
Result<off_t> next_data(int fd, off_t offset, off_t size) {
    const off_t data = lseek(fd, offset, SEEK_DATA);
    if (data >= 0) return std::min(data, size);
    if (errno == ENXIO) return size;
    return errno_error("looking for data");
}

Result<void> copy_range(int from, int to, off_t begin, off_t end, const std::stop_token& stop) {
    off_t in = begin;
    off_t out = begin;
    while (in < end) {
        if (stop.stop_requested()) return errno_error("copying a file", ECANCELED);
        const size_t wanted = std::min(static_cast<size_t>(end - in), kStep);
        const ssize_t n = copy_file_range(from, &in, to, &out, wanted, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("copying a file");
        if (n == 0) return {};  // it got shorter meanwhile
    }
    return {};
}

Result<size_t> read_at(int fd, char* buffer, size_t size, off_t offset) {
    size_t got = 0;
    while (got < size) {
        const ssize_t n = pread(fd, buffer + got, size - got, offset + static_cast<off_t>(got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("reading a file");
        if (n == 0) break;
        got += static_cast<size_t>(n);
    }
    return got;
}

}  // namespace

Result<void> copy_content(int from, int to, off_t size, const std::stop_token& stop) {
    off_t end = 0;  // of what was copied
    while (end < size) {
        const off_t data = TRY(next_data(from, end, size));
        if (data == size) break;
        const off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 && errno == ENXIO) break;  // it got shorter meanwhile
        if (hole < 0) return errno_error("looking for a hole");
        end = std::min(hole, size);
        TRY(copy_range(from, to, data, end, stop));
    }
    if (end < size && ftruncate(to, size) != 0) return errno_error("setting a file's length");  // a hole is at its end
    return {};
}

Result<bool> same_content(int left, int right, off_t size, const std::stop_token& stop) {
    const auto buffers = std::make_unique_for_overwrite<char[]>(2 * kCompared);
    char* const first = buffers.get();
    char* const second = first + kCompared;
    for (off_t offset = 0;;) {
        if (stop.stop_requested()) return errno_error("comparing files", ECANCELED);
        offset = std::min(TRY(next_data(left, offset, size)), TRY(next_data(right, offset, size)));
        if (offset >= size) return true;
        const size_t wanted = std::min(static_cast<size_t>(size - offset), kCompared);
        const size_t got = TRY(read_at(left, first, wanted, offset));
        if (TRY(read_at(right, second, wanted, offset)) != got) return false;
        if (std::memcmp(first, second, got) != 0) return false;
        if (got < wanted) return true;
        offset += static_cast<off_t>(got);
    }
}

}  // namespace hutch::overlayfs
