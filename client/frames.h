#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hutch::client {

/// A piece of a framed answer, as hutchd writes them: what it is in one byte, its length in four (the high one first),
/// and its bytes.
struct Frame {
    enum class Kind : uint8_t { kQuiet = 0, kOutput = 1, kErrors = 2, kEnd = 3 } kind;
    std::string bytes;
};

/// Parts a framed answer, in pieces of any size.
class Frames {
  public:
    static constexpr size_t kLargest = size_t{16} << 20;  ///< far more than hutchd puts into one

    void feed(std::string_view piece) { held_ += piece; }
    /// The next one that is whole; nothing until more is fed. Of a kind that is not known, what this hutch is too old
    /// for, none is given.
    std::optional<Frame> next();
    /// What comes is no framed answer.
    [[nodiscard]] bool broken() const { return broken_; }

  private:
    std::string held_;
    size_t done_ = 0;  ///< bytes of it that were given
    bool broken_ = false;
};

}  // namespace hutch::client
