#pragma once

#include <string>

#include "daemon/memory_budget.h"
#include "daemon/run/stream.h"

namespace hutch::daemon {

/// Keeps the beginning of what a command writes, and says when there was more. Outlives its sink.
struct Collector {
    static constexpr size_t kMost = 32 * 1024 * 1024;  ///< bytes
    static constexpr size_t kLittle = 256 * 1024;
    MemoryShare* memory;  ///< where what is kept counts, whose error is the sink's; null: no more than kLittle is kept
    std::string kept{};
    bool cut = false;

    Sink sink() {
        return [this](std::string_view piece) -> Task<Result<void>> {
            const size_t room = (memory != nullptr ? kMost : kLittle) - kept.size();
            cut = cut || piece.size() > room;
            piece = piece.substr(0, room);
            if (memory != nullptr) CO_TRY(memory->grow(piece.size()));
            // Much of it in one go, or it is copied again and again. What was not written to takes no memory (mmap(2)).
            if (kept.size() + piece.size() > kLittle) kept.reserve(kMost);
            kept.append(piece);
            co_return Result<void>();
        };
    }
};

}  // namespace hutch::daemon
