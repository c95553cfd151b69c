#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace hutch::client {

/// SHA-256 of what it is given, part by part: "ab","c" is another than "a","bc".
class Digest {
  public:
    Digest();
    Digest(Digest&&) noexcept;
    Digest& operator=(Digest&&) noexcept;
    ~Digest();

    Digest& add(std::string_view part);
    /// More of a part whose length is not known; end_part() ends it.
    Digest& add_piece(std::string_view piece);
    Digest& end_part();
    /// 64 hexadecimal digits; nothing may be added any more.
    std::string hex();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace hutch::client
