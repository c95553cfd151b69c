#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "daemon/wire/framing.h"

namespace hutch::daemon {

/// Follows what a client sends on a connection of HTTP/1, request by request, and asks about the head of each: one
/// connection may carry requests to any number of hosts. What it was given is not to be passed on before it is taken.
class RequestHosts {
  public:
    using Judge = std::function<bool(std::string_view head)>;
    explicit RequestHosts(Judge judge) : judge_(std::move(judge)) {}

    /// The next bytes of the client's. False when a request is not to be passed on, or can be read in two ways: the
    /// connection is to end.
    bool take(std::string_view bytes);
    /// The next bytes of the server's: where it agrees to a WebSocket that the first request asks for, what follows is
    /// no HTTP.
    void answered(std::string_view bytes);

  private:
    enum class Part { kHead, kBody, kChunkSize, kChunk, kChunkEnd, kTrailers };

    /// Each takes what it can off the front. False: refused.
    bool take_head(std::string_view& bytes);
    bool take_bytes(std::string_view& bytes);
    bool take_line(std::string_view& bytes);
    bool begin_body();
    bool end_line();

    Judge judge_;
    Part part_ = Part::kHead;
    HeadScan scan_;
    std::string line_;   ///< of the head, or of what stands between chunks, as far as it has come
    uint64_t left_ = 0;  ///< bytes of the body, or of the chunk
    size_t trailers_ = 0;
    size_t requests_ = 0;
    bool may_switch_ = false;
    bool is_switched_ = false;
    std::string answer_;  ///< its first bytes
};

/// Whether a server of TLS or HTTP could take what a client has sent first for its own, though OpeningScan does not:
/// who tells servers of one address apart must not pass it on. False for what speaks another protocol, SSH among them.
bool may_be_web(std::string_view begun);

}  // namespace hutch::daemon
