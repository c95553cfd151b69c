#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// Why a request is not read on: an HTTP status and its sentence. The connection ends with it, since where the next
/// request would begin is not known.
struct Refusal {
    int status = 400;
    std::string sentence;
};

/// Finds the head of a request in what arrives, and refuses every head that two readers could read differently, before
/// a parser sees it: what a proxy before us took for one request must not be two here (RFC 9112, 11.2).
class HeadScan {
  public:
    static constexpr size_t kMostBytes = 16 * 1024;
    static constexpr size_t kMostFields = 100;

    /// `received` is all that came since the head's first byte, each time. Refuses as soon as it can be known.
    std::optional<Refusal> look(std::string_view received);
    /// Bytes of the head, with its blank line; 0 while it is not whole.
    [[nodiscard]] size_t size() const { return size_; }

  private:
    size_t seen_ = 0;
    size_t size_ = 0;
};

}  // namespace hutch::daemon
