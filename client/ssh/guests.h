#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

namespace hutch::client {

/// Who is connected, by address, and who has guessed keys: whom the door lets in.
class Guests {
  public:
    using Moment = std::chrono::steady_clock::time_point;
    static constexpr size_t kMost = 1000;          ///< connections
    static constexpr size_t kMostUnknown = 200;    ///< of them, of who has shown no key yet
    static constexpr size_t kMostOfAddress = 100;  ///< of them, of one address
    static constexpr size_t kMostWrongKeys = 20;   ///< of one address, in
    static constexpr std::chrono::minutes kWithin{1};

    /// Whether one more of that address may come.
    [[nodiscard]] bool may_enter(const std::string& address, Moment now) const;
    void enter(const std::string& address);
    /// It has shown a right key.
    void become_known() { --unknown_; }
    void leave(const std::string& address, bool known);
    void note_wrong_key(const std::string& address, Moment now);
    [[nodiscard]] size_t inside() const { return inside_; }

  private:
    struct Guesses {
        size_t count = 0;
        Moment since;
    };
    std::map<std::string, size_t> by_address_;
    std::map<std::string, Guesses> guesses_;
    size_t inside_ = 0;
    size_t unknown_ = 0;
};

}  // namespace hutch::client
