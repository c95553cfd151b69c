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
    const auto to_end_of_block = [&data, &at](size_t from) {
        return std::min(data.size() - from, kBlock - (static_cast<size_t>(at) + from) % kBlock);
    };
    // Part of a block, too: the rest of it may be in the next piece.
    const auto is_hole = [&data, &to_end_of_block](size_t from) {
        return std::memcmp(data.data() + from, kZeros, to_end_of_block(from)) == 0;
    };
    while (!data.empty()) {
        size_t end = 0;
        while (end < data.size() && !is_hole(end)) end += to_end_of_block(end);
        TRY(write_all(fd, data.substr(0, end)));
        size_t hole = end;
        while (hole < data.size() && is_hole(hole)) hole += to_end_of_block(hole);
        if (hole > end && lseek(fd, static_cast<off_t>(hole - end), SEEK_CUR) < 0) return errno_error("writing");
        at += static_cast<off_t>(hole);
        data.remove_prefix(hole);
    }
    return {};
}

}  // namespace hutch
