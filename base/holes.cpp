#include "base/holes.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"

namespace hutch {

Result<void> write_with_holes(int fd, std::string_view data) {
    constexpr size_t kBlock = 4096;
    static constexpr char kZeros[kBlock] = {};
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0) return errno_error("writing");
    const auto is_hole = [&data](size_t from) {
        return data.size() - from >= kBlock && std::memcmp(data.data() + from, kZeros, kBlock) == 0;
    };
    while (!data.empty()) {
        size_t end = std::min(data.size(), (kBlock - static_cast<size_t>(at) % kBlock) % kBlock);
        while (end < data.size() && !is_hole(end)) end = std::min(data.size(), end + kBlock);
        TRY(write_all(fd, data.substr(0, end)));
        size_t hole = end;
        while (hole < data.size() && is_hole(hole)) hole += kBlock;
        if (hole > end && lseek(fd, static_cast<off_t>(hole - end), SEEK_CUR) < 0) return errno_error("writing");
        at += static_cast<off_t>(hole);
        data.remove_prefix(hole);
    }
    return {};
}

}  // namespace hutch
