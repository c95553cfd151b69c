#pragma once

#include <functional>
#include <string>

#include "daemon/outbound.h"
#include "daemon/store/records.h"
#include "daemon/turns.h"

namespace hutch::daemon {

/// Where somebody wants to be told of an end.
struct Webhook {
    std::string url;
    Pairs headers;
};

/// Tells customers' servers of what has ended: a few times each, the last more than a minute after the first. Each
/// customer has its share of the calls under way. Event loop thread only.
class Webhooks {
  public:
    /// `to_private`: whether they may be at loopback, private and link-local addresses.
    Webhooks(asio::any_io_executor executor, Fetcher& fetcher, bool to_private)
        : executor_(std::move(executor)), fetcher_(fetcher), to_private_(to_private) {}

    struct Telling {
        Webhook to;
        std::string body;  ///< JSON
    };
    /// What is told; made for each try anew, when its turn has come, since many may wait. kNotFound: nothing any more.
    using Tell = std::function<Task<Result<Telling>>()>;
    /// Until it is heard, or given up: a server that has heard of it, and refuses, has heard. `run` is for the log.
    Task<> tell(std::string customer, std::string run, Tell tell);

  private:
    Task<Result<OutboundAnswer>> call_once(std::string customer, const Tell& tell, std::string& origin);

    asio::any_io_executor executor_;
    Fetcher& fetcher_;
    bool to_private_;
    static constexpr size_t kMostTold = 1024;
    static constexpr size_t kMostToldEach = 8;
    Turns telling_{kMostTold, kMostToldEach};  ///< each waits for somebody's server
};

}  // namespace hutch::daemon
