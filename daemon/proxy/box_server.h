#pragma once

#include <optional>

#include "daemon/preview/dial.h"
#include "daemon/preview/previews.h"
#include "daemon/proxy/far.h"

namespace hutch::daemon {

/// In what a client is told that may come again.
inline constexpr const char* kRetryLater = "Retry-After: 5\r\n";

/// What listens on a published port of a box: the box is woken for a request, and what passes is activity; that a
/// connection is there is none.
class BoxServer : public Far {
  public:
    BoxServer(Previews& previews, Dialer& dialer, Previews::Found found, Arrival arrival);

    [[nodiscard]] std::string name() const override { return "The server in the box"; }
    /// Waits for the port.
    Task<Result<Wire>> connect() override;
    [[nodiscard]] Refused refusal_of(const Error& error) const override;
    [[nodiscard]] std::string head_of(const boost::beast::http::header<true>& request,
                                      const BodyFraming& body) const override;
    /// What comes for a box that has fallen asleep meanwhile wakes it.
    Task<Result<void>> ready() override;
    void count(size_t sent, size_t received) override;
    void answers() override { use_.reset(); }

  private:
    Previews& previews_;
    Dialer& dialer_;
    Previews::Found found_;
    Arrival arrival_;
    std::optional<Box::Use> use_;  ///< until the head of the answer is there
};

}  // namespace hutch::daemon
