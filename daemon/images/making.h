#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// An image that is being made, for those who wait for it.
class Making {
  public:
    static constexpr size_t kMostSaid = 200;  ///< bytes

    /// `wanted_by`: the image that is made next, on top of this one; may be empty.
    Making(std::string name, std::string wanted_by);
    /// The next piece of what its script says.
    void hear(std::string_view output);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& wanted_by() const { return wanted_by_; }
    [[nodiscard]] int64_t started_at() const { return started_at_; }
    /// The last line that came to its end and was not empty: its first kMostSaid bytes.
    [[nodiscard]] const std::string& said() const { return said_; }
    /// "since 40 s, at: Unpacking npm", for a sentence.
    [[nodiscard]] std::string progress() const;

  private:
    std::string name_, wanted_by_;
    int64_t started_at_;
    std::string line_, said_;
};

}  // namespace hutch::daemon
