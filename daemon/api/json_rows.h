#pragma once

#include <string>

#include "daemon/memory_budget.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {

/// An object of one list, or a list alone, written row by row: its text, which counts in `memory`, is all that is held
/// of it.
class JsonRows {
  public:
    static constexpr size_t kMost = 64 << 20;  ///< bytes of text

    JsonRows(const std::string& name, MemoryShare& memory)
        : text_("{\"" + name + "\":["), end_("]}"), memory_(memory) {}
    /// The list alone.
    explicit JsonRows(MemoryShare& memory) : text_("["), end_("]"), memory_(memory) {}

    /// kTooLarge beyond kMost.
    Result<void> add(Json row);
    std::string finish() { return std::move(text_) + end_; }

  private:
    std::string text_;
    const char* end_;
    MemoryShare& memory_;
    bool first_ = true;
};

}  // namespace hutch::daemon
