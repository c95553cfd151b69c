#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hutch::client {

/// Parts a stream of server-sent events into the data of each, in pieces of any size (the HTML standard, section 9.2;
/// lines end with \n alone, as hutchd writes them).
class ServerEvents {
  public:
    void feed(std::string_view piece) { held_ += piece; }
    /// The data of the next event that is whole; nothing until more is fed.
    std::optional<std::string> next();

  private:
    std::string held_;
};

}  // namespace hutch::client
