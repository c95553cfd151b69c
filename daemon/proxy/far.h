#pragma once

#include <boost/beast/http/message.hpp>
#include <optional>
#include <string>

#include "daemon/api/wire.h"
#include "daemon/proxy/heads.h"

namespace hutch::daemon {

/// What a client is told in place of an answer.
struct Refused {
    Refused() = default;
    Refused(int its_status, std::string its_sentence, std::string more = "")
        : status(its_status), sentence(std::move(its_sentence)), fields(std::move(more)) {}
    int status = 503;
    std::string sentence;
    std::string fields;  ///< more of the head, whole lines
};
/// As it is written. `version`: the client's, 10 or 11; `head`: to a request that has asked for no more than that.
std::string refusal_text(const Refused& refused, unsigned version, bool head, bool stays);

/// The server that a request is passed on to.
class Far {
  public:
    virtual ~Far() = default;
    /// What errors call it, at the beginning of a sentence.
    [[nodiscard]] virtual std::string name() const = 0;
    /// May be cancelled.
    virtual Task<Result<Wire>> connect() = 0;
    /// A connection that has carried a request before and is there for another; it may yet be found to be closed.
    virtual std::optional<Wire> kept() { return std::nullopt; }
    /// A connection whose answer is complete and which the server leaves open.
    virtual void keep(Wire) {}
    /// Why it could not, in words for the client.
    [[nodiscard]] virtual Refused refusal_of(const Error& error) const = 0;
    /// The head of the request as it gets it.
    [[nodiscard]] virtual std::string head_of(const boost::beast::http::header<true>& request,
                                              const BodyFraming& body) const = 0;
    /// Before anything is sent to it.
    virtual Task<Result<void>> ready() = 0;
    /// So many bytes went to it, and came from it.
    virtual void count(size_t sent, size_t received) = 0;
    /// The head of its answer is there.
    virtual void answers() = 0;
};

}  // namespace hutch::daemon
