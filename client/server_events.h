#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hutch::client {

struct ServerEvent {
    std::string name;  ///< empty for one without
    std::string data;
};

/// Parts a stream of server-sent events, in pieces of any size (the HTML standard, section 9.2;
/// lines end with \n alone, as hutchd writes them).
class ServerEvents {
  public:
    void feed(std::string_view piece) { held_ += piece; }
    /// The next event that is whole and has data; nothing until more is fed.
    std::optional<ServerEvent> next();

  private:
    std::string held_;
};

}  // namespace hutch::client
