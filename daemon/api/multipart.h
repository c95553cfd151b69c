#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

/// Reads multipart/form-data (RFC 7578) piece by piece, never holding more than a piece and a boundary's length.
class Multipart {
  public:
    /// kInvalid when the content type is no multipart/form-data with a boundary.
    static Result<Multipart> open(const std::string& content_type);

    struct Event {
        enum class Kind { kPart, kData, kPartEnd } kind = Kind::kData;
        std::string name;                     ///< kPart
        std::optional<std::string> filename;  ///< kPart
        std::string data;                     ///< kData
    };
    /// What `piece` brings to light. kInvalid for what is not multipart, kTooLarge for headers beyond 8 KiB.
    Result<std::vector<Event>> feed(std::string_view piece);
    /// True once the closing boundary was seen: a body that ends before it was cut off.
    [[nodiscard]] bool complete() const { return state_ == State::kDone; }

  private:
    explicit Multipart(const std::string& boundary) : boundary_("\r\n--" + boundary), pending_("\r\n") {}
    enum class State { kPreamble, kAfterBoundary, kHeaders, kData, kDone };
    Result<bool> step(std::vector<Event>& events);
    bool take_data(std::vector<Event>* events);
    Result<bool> take_headers(std::vector<Event>& events);

    std::string boundary_;
    std::string pending_;  ///< begins with a line break, so that a boundary at the very start is found like any other
    State state_ = State::kPreamble;
};

}  // namespace hutch::daemon
