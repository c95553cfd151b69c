#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

/// Reads multipart/form-data (RFC 7578) piece by piece, never holding more than a piece and the headers of a part. The
/// work is linear in the bytes, whatever the parts and the pieces.
class Multipart {
  public:
    static constexpr size_t kMostParts = 20'010;  ///< 10,000 files with a path each, and a few fields
    static constexpr size_t kMostHeaders = 8192;  ///< bytes, of one part

    /// kInvalid when the content type is no multipart/form-data with a boundary.
    static Result<Multipart> open(const std::string& content_type);

    struct Event {
        enum class Kind { kPart, kData, kPartEnd } kind = Kind::kData;
        std::string name;                     ///< kPart
        std::optional<std::string> filename;  ///< kPart
        std::string data;                     ///< kData
    };
    /// What `piece` brings to light. kInvalid for what is not multipart, kTooLarge for more parts or headers.
    Result<std::vector<Event>> feed(std::string_view piece);
    /// True once the closing boundary was seen: a body that ends before it was cut off.
    [[nodiscard]] bool complete() const { return state_ == State::kDone; }
    /// Bytes that were moved or looked at so far, for who doubts that it is linear.
    [[nodiscard]] uint64_t work() const { return work_; }

  private:
    explicit Multipart(const std::string& boundary) : boundary_("\r\n--" + boundary), pending_("\r\n") {}
    enum class State { kPreamble, kAfterBoundary, kHeaders, kBodyStart, kData, kDone };
    using Events = std::vector<Event>;
    /// One step forward; false when more input is needed.
    Result<bool> step(Events& events);
    Result<bool> take_line_end();
    Result<bool> take_headers(Events& events);
    bool take_body_start();
    bool take_data(Events* events);
    [[nodiscard]] std::string_view rest() const { return std::string_view(pending_).substr(at_); }
    void advance(size_t bytes) { at_ += bytes; }

    std::string boundary_;
    std::string pending_;  ///< begins with a line break, so that a boundary at the very start is found like any other
    size_t at_ = 0;        ///< what of `pending_` is done with; given back once a piece, not once a part
    size_t searched_ = 0;  ///< of the rest: in which the end of the headers is not
    size_t parts_ = 0;
    uint64_t work_ = 0;
    State state_ = State::kPreamble;
};

}  // namespace hutch::daemon
