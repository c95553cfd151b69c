#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "daemon/wire/opening.h"

namespace hutch::daemon {

/// Follows what a client of TLS sends until no ClientHello can come in clear any more, and asks about each: a server
/// may ask for a second one (RFC 8446, 4.1.4), and go by the name in that. What it was given is not to be passed on
/// before it is taken.
class TlsHellos {
  public:
    using Judge = std::function<bool(const Opening& hello)>;
    explicit TlsHellos(Judge judge) : judge_(std::move(judge)) {}

    /// The next bytes of the client's, from its first ones on. False when a hello is not to be passed on, or something
    /// comes with it in its record: the connection is to end.
    bool take(std::string_view bytes);

  private:
    enum class Found { kMore, kGood, kBad };
    /// Takes a whole record off `unread_`.
    Found take_record();
    Found take_handshake(std::string_view record);

    Judge judge_;
    std::string unread_;   ///< less than a record
    std::string records_;  ///< of a hello
    std::string message_;  ///< the same without their heads
    int hellos_ = 0;
    bool is_over_ = false;
};

}  // namespace hutch::daemon
