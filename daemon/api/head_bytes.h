#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <functional>

#include "daemon/api/wire.h"
#include "daemon/wire/framing.h"

namespace hutch::daemon {

/// What came of a request's head: all of it, nothing (the client ended or broke), or what is refused.
struct HeadBytes {
    size_t size = 0;  ///< of it, at the beginning of the buffer
    std::optional<Refusal> refusal{};
};
/// `buffer`: what has come and is not used yet. `begun` is called, once or more, when some of it has. A head that is
/// not plain is refused before a parser sees it.
Task<HeadBytes> read_head_bytes(
    Wire& wire, boost::beast::flat_buffer& buffer, const Patience& patience, std::function<void()> begun = [] {});

/// More of what a client sends: how many bytes came, 0 at its end.
Task<Result<size_t>> receive(Wire& wire, boost::beast::flat_buffer& buffer, size_t room, Millis patience);

/// Done when the client has gone away. What it sends meanwhile is its next request, kept for then, but for what is
/// more than a request's head: that stays with the kernel, and its end is seen all the same. May be cancelled.
Task<> until_gone(Wire& wire, boost::beast::flat_buffer& buffer);

}  // namespace hutch::daemon
