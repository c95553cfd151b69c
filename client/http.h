#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/host.h"

namespace hutch::client {

/// Gives the next piece of a streamed body, valid until the next call; an empty piece is the end. An error breaks the
/// connection off without the final chunk, so that the daemon never takes half a body for a whole one.
using BodySource = std::function<Result<std::string_view>()>;

struct Request {
    std::string method;
    std::string target;  ///< path and query, encoded
    std::string content_type = {};
    std::string body = {};
    BodySource source = {};  ///< set: the body, sent in chunks as it comes, instead of `body`
};

/// An answer whose body is read as it arrives. Owns its connection. Move-only.
class Response {
  public:
    struct Stream;
    explicit Response(std::unique_ptr<Stream> stream);
    Response(Response&&) noexcept;
    Response& operator=(Response&&) noexcept;
    ~Response();

    [[nodiscard]] int status() const;
    [[nodiscard]] std::string content_type() const;
    /// "" for one that is not there.
    [[nodiscard]] std::string header(const char* name) const;
    /// The next bytes, valid until the next call, as soon as there are any; empty at the end. A body that breaks off
    /// before its end is an error.
    Result<std::string_view> read();
    /// The whole body; more than `limit` bytes is an error.
    Result<std::string> read_all(size_t limit = size_t{64} << 20);
    /// Reads to the end, for nothing.
    Result<void> skip();

  private:
    std::unique_ptr<Stream> stream_;
};

/// The rest of the body into `fd`, which messages call `name`.
Result<void> pour(Response& response, int fd, const std::string& name);

/// Sends one request on a connection of its own, and reads the head of the answer. A refusal that arrives while the
/// body is still being sent ends the sending and is the answer.
Result<Response> send(const Endpoint& endpoint, const Request& request);

}  // namespace hutch::client
