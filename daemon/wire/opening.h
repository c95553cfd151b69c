#pragma once

#include <string>
#include <string_view>

#include "daemon/wire/framing.h"

namespace hutch::daemon {

/// What the first bytes of a connection tell of where its client believes to be.
struct Opening {
    enum class Kind {
        kUnknown,  ///< more must come before it can be told
        kTls,      ///< a ClientHello (RFC 8446, 4.1.2)
        kHttp,     ///< the head of a request of HTTP/1
        kOther     ///< neither
    };
    Kind kind = Kind::kUnknown;
    /// In lower case, without the dot or the port behind it; empty where none is told, or none that two readers must
    /// read alike. Of TLS the server name (RFC 6066, 3), of HTTP the field Host. It may be an address of IPv4.
    std::string name;
    bool hides_name = false;  ///< of TLS: another may be in an encrypted hello (RFC 9849), or there is none
};

/// Looks at what arrives until it can tell.
class OpeningScan {
  public:
    static constexpr size_t kMostBytes = 16 * 1024;

    /// `received` is all that came since the first byte, each time.
    Opening look(std::string_view received);

  private:
    HeadScan head_;
};

}  // namespace hutch::daemon
