#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// Finds in the answer of a model's provider, whole or as events, how many tokens it says the call took: the largest
/// number of each kind, since events tell it as it grows. In pieces of any size. What a model says cannot lower it: a
/// name within a string of JSON has its quotes escaped, and one elsewhere can only add.
class TokenScan {
  public:
    void feed(std::string_view piece);
    /// In and out, without what came from a cache; 0: nothing was told.
    [[nodiscard]] int64_t tokens() const;

  private:
    static constexpr size_t kKinds = 5;
    void take(size_t kind, std::string_view rest);

    std::string tail_;  ///< of the piece before: a name with its number may be cut
    std::array<int64_t, kKinds> most_{};
};

}  // namespace hutch::daemon
