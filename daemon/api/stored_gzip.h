#pragma once

#include <boost/crc.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// Bytes as they are in the gzip format (RFC 1952), for what that has and plain bytes lack: a block of none, which a
/// reader does not see (RFC 1951, 3.2.4). Each piece ends with one, so that it is passed on at once.
class StoredGzip {
  public:
    static std::string head();
    std::string piece(std::string_view bytes);
    static std::string nothing();
    [[nodiscard]] std::string end() const;

  private:
    boost::crc_32_type sum_;
    uint32_t size_ = 0;  ///< modulo 2^32, as the format has it
};

}  // namespace hutch::daemon
