#pragma once

#include <string>

#include "daemon/run/stream.h"

namespace hutch::daemon {

/// Keeps the beginning of what a command writes, and says when there was more. Outlives its sink.
struct Collector {
    static constexpr size_t kMost = 32 * 1024 * 1024;  ///< bytes
    std::string kept;
    bool cut = false;

    Sink sink() {
        return [this](std::string_view piece) -> Task<Result<void>> {
            const size_t room = kMost - kept.size();
            cut = cut || piece.size() > room;
            kept.append(piece.substr(0, room));
            co_return Result<void>();
        };
    }
};

}  // namespace hutch::daemon
